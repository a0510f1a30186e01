import ArgumentParser
import Autodidact
import Foundation

struct Classify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The class of each text, by any kind of model.",
        discussion: """
            A model with a trained head gives its classes. Others need --labels: a masked model says how likely each class's word is in place of {mask} \
            in the template, a generative one how likely it is after it.
            """)

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @OptionGroup var data: LabelledTextOptions

    @OptionGroup var asking: ClassifierOptions

    @Option(help: "An adapter (a PEFT folder) over the model.")
    var adapter: String?

    @Flag(help: "One JSON object a line.")
    var json = false

    @Flag(help: "Only how many labels of the file are met, and what it took.")
    var summary = false

    @OptionGroup var precision: PrecisionOption
    @OptionGroup var engine: EngineOptions

    func run() async throws {
        let texts = try data.read(needsLabels: summary)
        let model = try openModel(model, adapter: adapter, on: try engine.backend()).at(precision.value)
        let classifier = try asking.classifier(model, labels: data.names)
        let classes = try LabelledText.classes(texts, names: classifier.labels, file: data.input)
        let start = Date()
        var right = 0, labelled = 0
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
                    printLine("line \(text.line): \(classifier.labels[best]) (\(String(format: "%.1f", fixedExp(row[best]) * 100)) %)")
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
            printLine("\(right) of \(labelled) labels met (\(String(format: "%.1f", share * 100)) %) by \(classifier.method.rawValue), in \(String(format: "%.1f", seconds)) s, with \(String(format: "%.2f", Double(peakMemory()) / 1e9)) GB at most")
        }
    }
}

extension Classifier.Method: ExpressibleByArgument {}

/// How a model is asked for a class.
struct ClassifierOptions: ParsableArguments {
    @Option(help: "Words that stand for the classes, in their order, separated by commas; the names of the classes when left out.")
    var words: String?

    @Option(help: "What the model reads, with {text}, {pair} and {mask}.")
    var template: String?

    @Option(help: "head, mask or likelihood; what the model is made for when left out.")
    var method: Classifier.Method?

    func classifier(_ model: Model, labels: [String]?) throws -> Classifier {
        try Classifier(model, labels: labels, words: words.map(split), template: template, method: method)
    }
}

/// A JSONL file of texts, and how to read it.
struct LabelledTextOptions: ParsableArguments {
    @Option(help: "A JSONL file with one text a line; - is standard input.")
    var input: String

    @Option(name: .customLong("text-field"), help: "The field of the text.")
    var textField: String = "text"

    @Option(name: .customLong("pair-field"), help: "The field of a second text, such as a hypothesis.")
    var pairField: String?

    @Option(name: .customLong("label-field"), help: "The field of the label: the name of a class, or its number from 0.")
    var labelField: String = "label"

    @Option(help: "The classes in their order, separated by commas.")
    var labels: String?

    var names: [String]? { labels.map(split) }

    func read(_ path: String? = nil, needsLabels: Bool) throws -> [LabelledText] {
        let path = path ?? input
        let texts = try LabelledText.read(path, LabelledText.Fields(text: textField, pair: pairField, label: labelField), needsLabels: needsLabels)
        guard !texts.isEmpty else { throw FileError(file: path, problem: "holds no texts", advice: "Write one JSON object a line.") }
        return texts
    }
}

/// "a, b" is two words.
func split(_ list: String) -> [String] { list.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) } }

/// A model, with an adapter over it where one is named.
func openModel(_ path: String, adapter: String? = nil, on backend: any Backend) throws -> Model {
    let model = try Model(path: path, as: adapter.flatMap { try Model.task(ofAdapter: $0) }, on: backend)
    return try adapter.map { try model.with(adapter: $0) } ?? model
}

/// Makes the folder that is to be written, before the work that fills it, so that a place that cannot be written is known at once.
/// - Throws: `FileError` where it is there already, or cannot be made.
func makeFolder(_ output: String) throws {
    try refuseExisting(output)
    do {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    } catch {
        throw FileError(file: output, problem: "cannot be made (\(((error as NSError).localizedFailureReason ?? error.localizedDescription).trimmingCharacters(in: .punctuationCharacters)))", advice: "Choose an --output in a folder that can be written.")
    }
}

/// Takes an empty folder away again after work that failed.
func removeIfEmpty(_ folder: String) {
    if (try? FileManager.default.contentsOfDirectory(atPath: folder))?.isEmpty == true { try? FileManager.default.removeItem(atPath: folder) }
}

/// - Throws: `FileError` where something would be written over.
func refuseExisting(_ output: String) throws {
    guard !output.isEmpty else { throw ValidationError("--output: must be a path.") }
    guard FileManager.default.fileExists(atPath: output) else { return }
    throw FileError(file: output, problem: "exists already", advice: "Choose another --output, or remove it.")
}

/// The most memory that the process has held, in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    #if os(Linux)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
    #else
    getrusage(RUSAGE_SELF, &usage)
    return usage.ru_maxrss
    #endif
}
