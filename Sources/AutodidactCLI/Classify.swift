import ArgumentParser
import Autodidact
import Foundation

struct Classify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The class of each text, by any kind of model.",
        discussion: """
            A model with a trained head gives its classes. Others need --labels: a masked model says how likely each class's word is in place of {mask} \
            in the template, a generative one how likely it is after it. What 'sft --method' trained is asked as it was trained.
            """)

    @OptionGroup var opening: ModelOptions

    @OptionGroup var data: LabelledTextOptions

    @OptionGroup var asking: ClassifierOptions

    @Flag(help: "Count how likely the words are after texts that say nothing against them.")
    var calibrate = false

    @Flag(help: "One JSON object a line.")
    var json = false

    @Flag(help: "Only how many labels of the file are met, and what it took.")
    var summary = false

    func run() async throws {
        let texts = try data.read(needsLabels: summary)
        let model = try opening.open()
        let classifier = try asking.classifier(model, labels: data.names, form: Classifier.Form.read(from: opening.adapter ?? opening.model), isCalibrated: calibrate)
        let classes = try LabelledText.classes(texts, names: classifier.labels, file: data.input)
        let start = Date()
        var right = 0, labelled = 0
        let long = try texts.filter { try classifier.exceeds(($0.text, $0.pair)) }
        if let first = long.first { printError("warning: \(long.count) texts are longer than the model's context and lose a part, the first in line \(first.line)") }
        // Some at a time, so that answers appear as they are found.
        for first in stride(from: 0, to: texts.count, by: 64) {
            let part = texts[first..<min(texts.count, first + 64)]
            for (index, row) in try classifier.classify(part.map { ($0.text, $0.pair) }).enumerated() {
                let text = texts[first + index], best = row.indices.max { row[$0] < row[$1] }!
                if let expected = classes[first + index] {
                    labelled += 1
                    if expected == best { right += 1 }
                }
                if summary { continue }
                if json {
                    printLine(jsonLine([
                        ("line", .integer(Int64(text.line))), ("class", .string(classifier.labels[best])),
                        ("logProbabilities", .object(JSONObject(zip(classifier.labels, row).map { ($0, .number($1)) }))),
                    ]))
                } else {
                    printLine("line \(text.line): \(classifier.labels[best]) (\(String(percent: fixedExp(row[best]))))")
                }
            }
        }
        guard labelled > 0 else { return }
        let share = Double(right) / Double(labelled), seconds = Date().timeIntervalSince(start)
        if json {
            printLine(jsonLine([
                ("accuracy", .number(share)), ("right", .integer(Int64(right))), ("labelled", .integer(Int64(labelled))), ("method", .string(classifier.method.rawValue)),
                ("seconds", .number((seconds * 100).rounded() / 100)), ("peakBytes", .integer(Int64(peakMemory()))),
            ]))
        } else {
            printLine("\(right) of \(labelled) labels met (\(String(percent: share))) by \(classifier.method.rawValue), in \(String(format: "%.1f", seconds)) s, with \(String(format: "%.2f", Double(peakMemory()) / 1e9)) GB at most")
        }
    }
}
