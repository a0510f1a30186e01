import Architectures
import Evaluation
import Recipes
import Sampling
import Tasks
import Tensors
import Testing

@Suite("A reward model in a learning run")
struct RewardVerifierTests {
    @Test("what the loop samples is judged by the number that the model gives it")
    func judges() async throws {
        try await withFolder { folder in
            var shape = FreshDecoder()
            (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 48, 2, 2, 128)
            try Model.forAddition(shape, key: RandomKey(seed: 5), on: CPUBackend(threads: 1)).save(to: "\(folder)/checkpoints")
            @Sendable func open() throws -> sending RewardModel {
                try RewardModel(Model(path: "\(folder)/checkpoints", as: RewardModel.task(key: RandomKey(seed: 6)), on: CPUBackend(threads: 1)))
            }
            let other = try RewardVerifier { try RewardModel(Model(path: "\(folder)/checkpoints", as: RewardModel.task(key: RandomKey(seed: 7)), on: CPUBackend(threads: 1))) }
            let cut = try RewardVerifier { try RewardModel(open().model, form: RewardModel.Form(isChat: false, maxTokens: 9)) }, again = try RewardVerifier(makeModel: open)
            #expect(try again.settings == RewardVerifier(makeModel: open).settings && Set([again, other, cut].map(\.modelHash)).count == 3)
            let loop = try makeLoop(folder, journal: MemoryJournal(), verifier: try RewardVerifier(makeModel: open))
            let problems = try await loop.environment.problems(in: .train), policy = try await loop.start()
            let rollouts = try await loop.sample(Array(problems.prefix(12)), samples: 2, from: policy, iteration: 1, phase: "attempt", SamplingOptions(temperature: 1))
            let reward = try open(), whole = rollouts.filter { $0.finishReason != .length }
            #expect(rollouts.count == 24 && whole.count > 4)
            let expected = reward.rewards(try whole.map { try reward.example(prompt: $0.problem.question, answer: $0.text) })
            #expect(whole.map { $0.verdict?.reward } == expected && Set(expected).count > 4)
            #expect(zip(whole, expected).allSatisfy { $0.isRight == ($1 > 0) })
        }
    }
}
