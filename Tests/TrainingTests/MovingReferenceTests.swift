import Architectures
import Foundation
import Tensors
import Testing
import Training

@Suite("A reference that follows the policy")
struct MovingReferenceTests {
    @Test("toward weights that stay it goes by a share of the way in each update: c + decay^t (e - c)", arguments: [0.5, 0.9, 0.99])
    func average(decay: Double) throws {
        let (policy, start) = (try Tiny.decoder(seed: 1), try Tiny.decoder(seed: 2)), reference = MovingReference(start.copy(), decay: decay, trains: { _ in true })
        for step in 1...10 { reference.afterUpdate(policy, step: step) }
        let left = pow(decay, 10)
        for parameter in policy.parameters.parameters {
            let (c, e, found) = (policy.parameters.read(parameter), start.values(parameter.name), reference.average.values(parameter.name))
            #expect(c.indices.allSatisfy { abs(Double(found[$0]) - Double(c[$0]) - left * (Double(e[$0]) - Double(c[$0]))) < 1e-6 }, "\(parameter.name)")
        }
    }

    @Test("what is not trained, and what does not move, keeps its bits")
    func kept() throws {
        let (policy, start) = (try Tiny.decoder(seed: 1), try Tiny.decoder(seed: 2))
        let own = MovingReference(policy.copy(), decay: 0.9, trains: { _ in true }), partly = MovingReference(start.copy(), decay: 0.9, trains: { $0.name.contains("layers.0") })
        for step in 1...5 {
            own.afterUpdate(policy, step: step)
            partly.afterUpdate(policy, step: step)
        }
        #expect(own.average.weightBits == policy.weightBits)
        for parameter in start.parameters.parameters {
            #expect((bits(partly.average.values(parameter.name)) == bits(start.values(parameter.name))) == (!parameter.name.contains("layers.0") || start.values(parameter.name) == policy.values(parameter.name)))
        }
        #expect(Set(partly.state.keys) == Set(start.parameters.parameters.map(\.name).filter { $0.contains("layers.0") }))
    }

    @Test("put back from its state it goes on to the same bits")
    func state() throws {
        let (policy, start) = (try Tiny.decoder(seed: 1), try Tiny.decoder(seed: 2)), whole = MovingReference(start.copy(), decay: 0.9, trains: { _ in true })
        for step in 1...3 { whole.afterUpdate(policy, step: step) }
        let again = MovingReference(start.copy(), decay: 0.9, trains: { _ in true })
        again.state = whole.state
        for step in 4...6 { for reference in [whole, again] { reference.afterUpdate(policy, step: step) } }
        #expect(again.average.weightBits == whole.average.weightBits && whole.average.weightBits != start.weightBits)
    }

    @Test("a policy that is held to it goes to the best answer, where a reference that stays holds it back")
    func goesFar() throws {
        let prompt: [Int32] = [3, 1, 4, 1, 5], tokens = (0..<Int32(Tiny.vocabulary)).map { $0 }, rewards = tokens.map { $0 == 7 ? 3 : Double($0 % 5) / 4 }
        func laws(_ model: Transformer) -> [Double] { model.score(tokens.map { Example(promptTokens: prompt, completionTokens: [$0]) }).map { Double($0[0].logProbability) } }
        func best(decay: Double) throws -> Double {
            let policy = try Tiny.decoder(seed: 4), reference = MovingReference(policy.copy(), decay: decay, trains: { _ in true })
            let trainer = Trainer(policy, objective: PolicyGradient(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01, weightDecay: 0)), totalSteps: 300)
            trainer.plugins = [reference]
            for _ in 0..<300 {
                // All answers by their probabilities: the gradient itself of the reward less twice the divergence.
                let own = laws(policy), held = laws(reference.average)
                _ = try trainer.step(tokens.indices.map { index in
                    Example(promptTokens: prompt, completionTokens: [tokens[index]], advantage: Float(Double(tokens.count) * exp(own[index]) * (rewards[index] - 2 * (own[index] - held[index]))))
                })
            }
            return exp(laws(policy)[7])
        }
        let (moving, fixed) = (try best(decay: 0.9), try best(decay: 1))
        #expect(moving > 0.8 && fixed < 0.5, "\(moving) and \(fixed)")
    }
}
