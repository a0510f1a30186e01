import ArgumentParser
import Autodidact

struct Conform: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare models with reference computations stored beside them.",
        discussion: "Exit code 1 beyond the limits, 3 for a family that is not supported yet.")

    @Argument(help: "Folders with config.json, model.safetensors and io.safetensors.")
    var folders: [String]

    @Option(help: "The configuration's file name.")
    var config: String = "config.json"

    @Flag(help: "Print every quantity that is compared, not only the worst of each kind.")
    var all = false

    @OptionGroup var engine: EngineOptions

    func run() async throws {
        let backend = try engine.backend()
        var (failed, unsupported, conforming) = (false, false, 0)
        for folder in folders {
            do {
                let result = try Conformance(folder: folder, configFile: config, on: backend)
                failed = failed || !result.conforms
                if result.conforms { conforming += 1 }
                printLine("\(result.conforms ? "conforms" : "DEVIATES") \(folder)")
                for (group, members) in grouped(result.deviations) {
                    if all { members.forEach { printLine("  \($0.quantity): off by \($0.absolute), \(percent($0)) % of what is allowed") } }
                    let worst = members.max { $0.share < $1.share }!
                    printLine("  \(group): worst \(worst.quantity), off by \(worst.absolute), \(percent(worst)) % of what is allowed (\(members.count) compared)")
                }
            } catch let error as UnsupportedFamily {
                unsupported = true
                printLine("unsupported \(folder): \(error.name)")
            }
        }
        if folders.count > 1 { printLine("\(conforming) of \(folders.count) conform") }
        if failed { throw ExitCode(1) }
        if unsupported { throw ExitCode(3) }
    }

    private func percent(_ deviation: Conformance.Deviation) -> Double { (deviation.share * 1000).rounded() / 10 }

    private func grouped(_ deviations: [Conformance.Deviation]) -> [(String, [Conformance.Deviation])] {
        // "grad.layers.0.weight" belongs to "grad", "greedy.ids[2]" to "greedy".
        func group(_ deviation: Conformance.Deviation) -> String { String(deviation.quantity.prefix { $0 != "." }) }
        var names: [String] = []
        for deviation in deviations where !names.contains(group(deviation)) { names.append(group(deviation)) }
        return names.map { name in (name, deviations.filter { group($0) == name }) }
    }
}
