import ArgumentParser
import Autodidact
import Foundation

/// A command whose options may stand in a YAML file, for one stage or for several.
protocol StagedCommand: AsyncParsableCommand {
    /// Options that each stage may set for itself; none where there is but one stage.
    static var stageOptions: Set<String> { get }
}

/// The command line together with the file that `--config` names.
enum OptionFiles {
    private static let commands: [String: any StagedCommand.Type] = ["sft": SFT.self, "prefer": Prefer.self, "reward": Reward.self, "eval": Eval.self]

    private static func file(_ command: any StagedCommand.Type, _ given: [String]) throws -> OptionFile? {
        let path = given.lastIndex(of: "--config").flatMap { given.dropFirst($0 + 1).first } ?? given.last { $0.hasPrefix("--config=") }.map { String($0.dropFirst("--config=".count)) }
        guard let path else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else { throw RecipeFileError(file: path, problem: "cannot be read: no such file, or no permission") }
        return try OptionFile(String(decoding: data, as: UTF8.self), file: path, options: options(of: command), ofStage: command.stageOptions)
    }

    /// As the command's help lists them.
    private static func options(of command: any StagedCommand.Type) -> [String: OptionFile.Kind] {
        var options: [String: OptionFile.Kind] = [:]
        for match in command.helpMessage(columns: 10_000).matches(of: /(?m)^  --([a-z-]+)( <)?/) {
            options[String(match.1)] = match.2 == nil ? .flag : ["input", "format", "task", "task-option"].contains(match.1) ? .list : .value
        }
        for name in ["config", "resume", "dry-run", "version", "help"] { options[name] = nil }
        return options
    }

    /// `--learning-rate -1` as `--learning-rate=-1`: what begins with a dash is else taken for an option, and nobody says what is wrong with the number.
    private static func joiningNumbers(_ arguments: [String]) -> [String] {
        arguments.reduce(into: []) { joined, argument in
            if let last = joined.last, last.hasPrefix("--"), last != "--", !last.contains("="), argument.hasPrefix("-"), Double(argument) != nil {
                joined[joined.count - 1] = "\(last)=\(argument)"
            } else {
                joined.append(argument)
            }
        }
    }

    /// Whole command lines of what the arguments ask for, one for each stage.
    private static func stages(_ arguments: [String]) throws -> [(name: String, arguments: [String])] {
        let arguments = joiningNumbers(arguments)
        guard let command = arguments.first.flatMap({ commands[$0] }) else { return [("1", arguments)] }
        let given = Array(arguments.dropFirst())
        guard let file = try file(command, given) else { return [("1", arguments)] }
        return file.names.enumerated().map { ($1, arguments.prefix(1) + file.arguments(stage: $0, given: given)) }
    }

    /// The arguments with those of the file before them; of the first stage where it has several.
    static func expanded(_ arguments: [String]) throws -> [String] { try stages(arguments)[0].arguments }

    /// The command for each stage, as if each had been given alone.
    static func stages<Command: StagedCommand>(of _: Command.Type) throws -> [(name: String, command: Command)] {
        try stages(Array(CommandLine.arguments.dropFirst())).map { ($0.name, try Command.parse(Array($0.arguments.dropFirst()))) }
    }
}
