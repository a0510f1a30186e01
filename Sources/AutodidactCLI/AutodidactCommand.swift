import ArgumentParser
import Foundation

/// A language model that teaches itself, on the machine you have.
@main
struct AutodidactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autodidact",
        abstract: "A language model that teaches itself, on the machine you have.",
        version: "0.1.0",
        subcommands: [Learn.self, RL.self, Generate.self, Chat.self, SFT.self, Prefer.self, Reward.self, SelfLabel.self, Rationales.self, MergeAdapter.self, Eval.self, Score.self, Classify.self, Tag.self, Answer.self, Embed.self, Fill.self, Template.self, Convert.self, Pull.self, Inspect.self, Conform.self, RunsCommand.self])

    static func main() async {
        // Whoever reads may go away: writing is then an error, which is said.
        signal(SIGPIPE, SIG_IGN)
        do { await main(try OptionFiles.expanded(Array(CommandLine.arguments.dropFirst()))) } catch { exit(withError: error) }
    }
}
