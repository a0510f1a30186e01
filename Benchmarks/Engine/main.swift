import Autodidact
import Foundation

// The engine at work, one request a line and one answer a line, so that another program's work can be done in turn with it:
//     {"work": "matmul", "kind": "forward", "size": [2048, 1536, 576]}
// The programs of Benchmarks/peers answer the same requests.

struct Request: Decodable {
    var work: String
    var kind: String?
    var size: [Int]?
    var path: String?
    var precision: Precision?
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("engine-bench: \(message)\n".utf8))
    exit(1)
}

let arguments = CommandLine.arguments.dropFirst()
guard (1...2).contains(arguments.count), let threads = arguments.count == 2 ? Int(arguments.last!) : ProcessInfo.processInfo.activeProcessorCount else {
    FileHandle.standardError.write(Data("usage: engine-bench MODEL [THREADS], with requests on standard input: see Benchmarks/bench.py\n".utf8))
    exit(64)
}
let encoder = JSONEncoder()
encoder.outputFormatting = [.sortedKeys]
do {
    let backend = try CPUBackend(threads: threads)
    let kernels = KernelWork(backend)
    var engine: EngineWork?
    while let line = readLine() {
        let request = try JSONDecoder().decode(Request.self, from: Data(line.utf8))
        var answer: [String: Double]
        if let result = kernels.answer(request) {
            answer = result
        } else {
            if engine == nil { engine = try EngineWork(model: Model(path: arguments.first!, on: backend)) }
            guard let result = try engine!.answer(request) else { fail("there is no work called '\(request.work)' of kind '\(request.kind ?? "")'") }
            answer = result
        }
        answer["peak_gb"] = peakMemory()
        try FileHandle.standardOutput.write(contentsOf: try encoder.encode(answer) + Data("\n".utf8))
    }
} catch {
    fail("\(error)")
}

/// The system's own count of the most memory this process had, in GB.
func peakMemory() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") }
    return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? .nan) * 1024 / 1e9
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let began = ContinuousClock.now
    try body()
    return (ContinuousClock.now - began) / .seconds(1)
}
