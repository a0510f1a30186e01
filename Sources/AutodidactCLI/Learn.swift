import ArgumentParser
import Autodidact

struct Learn: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a model teach itself a task whose answers can be checked.",
        discussion: """
            Without --model a small decoder made from nothing learns addition. With --model, the model samples answers, keeps those that the task's verifier \
            accepts, and trains on them. A run is a folder; learn --resume FOLDER goes on where it stopped.
            """)

    @OptionGroup var options: LoopRunOptions

    func run() async throws { try await options.run(as: "learn") }
}

struct RL: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rl",
        abstract: "Let a model learn from rewards by policy gradients: GRPO and its variants, RLOO, REINFORCE, PPO.",
        discussion: """
            The same as learn, with grpo where no recipe is named. A few problems are sampled, judged and trained at a time; the policy is held to the model it began with by \
            --recipe-option loop.klWeight=…, and with loop.referenceDecay=0.99 to an average that follows it. A run is a folder; rl --resume FOLDER goes on where it stopped.
            """)

    @OptionGroup var options: LoopRunOptions

    func run() async throws { try await options.run(as: "rl", usualRecipe: GRPO.name) }
}
