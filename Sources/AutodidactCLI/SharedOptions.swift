import ArgumentParser
import Autodidact
import Foundation

/// Where and with how many threads to compute.
struct EngineOptions: ParsableArguments {
    @Option(help: "Threads that compute; all processors when left out. Results do not depend on it.")
    var threads: Int?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads \(threads): must be 1 to 1024.") }
    }

    func backend() throws -> CPUBackend { try CPUBackend(threads: threads) }
}

extension OptimizerOptions.Kind: ExpressibleByArgument {}
extension Schedule.Shape: ExpressibleByArgument {}

/// How weights change.
struct UpdateOptions: ParsableArguments {
    @Option(help: "adamw when left out. Most others need another --learning-rate: lion a tenth of AdamW's, sgd a hundred times it, muon about 0.02; adafactor_relative finds its own, which the rate multiplies.")
    var optimizer: OptimizerOptions.Kind?

    @Option(help: "How the learning rate falls after its warm-up. noam is the rate itself, which --learning-rate multiplies.")
    var schedule: Schedule.Shape?
}

extension Precision: ExpressibleByArgument {}
extension ActivationFormat: ExpressibleByArgument {}

/// What products are computed from.
struct PrecisionOption: ParsableArguments {
    @Option(name: .customLong("precision"), help: "f32 is exact. bf16 and q8_0 round weights that are not quantised already, int8 also what is multiplied by them: faster, with other results.")
    var value: Precision = .float32
}

/// A model, with an adapter over it where one is named, at a precision.
struct ModelOptions: ParsableArguments {
    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "An adapter (a PEFT folder) over the model.")
    var adapter: String?

    @OptionGroup var precision: PrecisionOption
    @OptionGroup var engine: EngineOptions

    func open() throws -> Model { try openModel(model, adapter: adapter, on: try engine.backend()).at(precision.value) }
}

/// How tokens are drawn.
struct SamplingArguments: ParsableArguments {
    @Option(help: "0 is greedy.")
    var temperature: Float = 0

    @Option(name: .customLong("top-k"), help: "Keep the k most likely tokens; 0 keeps all.")
    var topK: Int = 0

    @Option(name: .customLong("top-p"), help: "Keep the smallest set of the most likely tokens with this mass.")
    var topP: Float = 1

    @Option(name: .customLong("min-p"), help: "Drop tokens less likely than this share of the most likely.")
    var minP: Float = 0

    @Option(name: .customLong("typical-p"), help: "Locally typical sampling: mass of the tokens nearest to the expected information.")
    var typicalP: Float = 1

    @Option(help: "The same seed gives the same tokens.")
    var seed: UInt64 = 0

    var options: SamplingOptions { SamplingOptions(temperature: temperature, topK: topK, topP: topP, minP: minP, typicalP: typicalP) }

    func validate() throws {
        do { try options.validate() } catch { throw ValidationError("\(error)") }
        let narrowing = [("top-k", topK != 0), ("top-p", topP != 1), ("min-p", minP != 0), ("typical-p", typicalP != 1)]
        if temperature == 0, let name = narrowing.first(where: \.1)?.0 { throw ValidationError("--\(name): has no effect at temperature 0, where the likeliest token is taken. Give a --temperature such as 0.8.") }
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

    /// - Parameter form: as the model was trained to be asked: stands for what was not said.
    func classifier(_ model: Model, labels: [String]?, form: Classifier.Form? = nil, isCalibrated: Bool = false) throws -> Classifier {
        // Other classes have other words.
        let ownWords = labels == nil || labels == form?.labels ? form?.words : nil
        return try Classifier(
            model, labels: labels ?? form?.labels, words: words.map(split) ?? ownWords, template: template ?? form?.template, method: method ?? form?.method,
            isCalibrated: isCalibrated)
    }
}

/// How a JSONL file of texts is read.
struct LabelledTextFields: ParsableArguments {
    @Option(name: .customLong("text-field"), help: "The field of the text.")
    var textField: String = "text"

    @Option(name: .customLong("pair-field"), help: "The field of a second text, such as a hypothesis.")
    var pairField: String?

    @Option(name: .customLong("label-field"), help: "The field of the label: the name of a class, or its number from 0.")
    var labelField: String = "label"

    @Option(help: "The classes in their order, separated by commas.")
    var labels: String?

    var names: [String]? { labels.map(split) }

    func read(_ path: String, needsLabels: Bool) throws -> [LabelledText] {
        let texts = try LabelledText.read(path, LabelledText.Fields(text: textField, pair: pairField, label: labelField), needsLabels: needsLabels)
        guard !texts.isEmpty else { throw FileError(file: path, problem: "holds no texts", advice: "Write one JSON object a line.") }
        return texts
    }
}

/// A JSONL file of texts, and how to read it.
struct LabelledTextOptions: ParsableArguments {
    @Option(help: "A JSONL file with one text a line; - is standard input.")
    var input: String

    @OptionGroup var fields: LabelledTextFields

    var names: [String]? { fields.names }

    func read(needsLabels: Bool) throws -> [LabelledText] { try fields.read(input, needsLabels: needsLabels) }
}

/// - Throws: `ValidationError` for the first count that is none, or absurd.
func checkCounts(_ counts: [(name: String, value: Int)]) throws {
    if let (name, value) = counts.first(where: { !(1...1_000_000_000).contains($0.value) }) { throw ValidationError("--\(name) \(value): must be 1 to 1000000000.") }
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

/// Makes a folder and fills it. Half of what belongs into it is taken away again, after errors and where the process is ended.
/// - Parameters:
///   - output: the folder.
///   - unit: of the work, after which the first Ctrl-C stops it; nil: it ends the process.
///   - fill: may ask whether to stop.
func writeFolder<Result>(_ output: String, stoppingAfter unit: String? = nil, _ fill: (StopSignal) throws -> Result) throws -> Result {
    try makeFolder(output)
    let stop = StopSignal(after: unit ?? "", atOnce: unit == nil, abandon: { try? FileManager.default.removeItem(atPath: output) })
    do {
        let result = try fill(stop)
        stop.finish()
        return result
    } catch {
        try? FileManager.default.removeItem(atPath: output)
        throw error
    }
}

/// Takes a folder that holds nothing, or nothing but its lock, away again after work that failed.
func removeIfEmpty(_ folder: String) {
    if (try? FileManager.default.contentsOfDirectory(atPath: folder))?.allSatisfy({ $0 == FolderLock.name }) == true { try? FileManager.default.removeItem(atPath: folder) }
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

/// One line of JSON, keys in the order given.
func jsonLine(_ members: [(key: String, value: JSON)]) -> String { JSON.object(JSONObject(members)).text() }

func printError(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8)) }

/// Writes at once, without a line end. An output that cannot be written (a full disk, a closed pipe) ends the program: nobody
/// would see the rest.
func printNow(_ text: String) {
    do {
        try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
        printError("standard output cannot be written: \(error.localizedDescription)")
        StopSignal.endProcess(74)
    }
}

func printLine(_ text: String = "") { printNow(text + "\n") }

/// One line.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    printLine(String(decoding: try encoder.encode(value), as: UTF8.self))
}
