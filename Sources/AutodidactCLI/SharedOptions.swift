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

extension Precision: ExpressibleByArgument {}
extension ActivationFormat: ExpressibleByArgument {}

/// What products are computed from.
struct PrecisionOption: ParsableArguments {
    @Option(name: .customLong("precision"), help: "f32 is exact. bf16 and q8_0 round weights that are not quantised already, int8 also what is multiplied by them: faster, with other results.")
    var value: Precision = .float32
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
    }
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
        exit(74)
    }
}

func printLine(_ text: String = "") { printNow(text + "\n") }

/// One line.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    printLine(String(decoding: try encoder.encode(value), as: UTF8.self))
}
