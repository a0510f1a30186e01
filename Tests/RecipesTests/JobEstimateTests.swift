import Recipes
import Tensors
import Testing

@Suite("What a run will take")
struct JobEstimateTests {
    private static let train = 40, dev = 10, test = 20
    /// Of every completion: the model knows nothing, and is cut off there.
    private static let length = 24

    private func estimate(_ recipe: any Recipe, _ change: (inout LoopOptions) -> Void = { _ in }) async throws -> JobEstimate {
        var plan = try RunPlan.defaults(
            model: nil, task: "addition", settings: ["digits": "2-3", "train-count": "\(Self.train)", "dev-per-length": "\(Self.dev / 2)", "test-per-length": "\(Self.test / 2)"], recipe: nil)
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 128)
        plan.fresh = shape
        plan.recipe = RecipeChoice(recipe)
        plan.workedExamples = 0
        (plan.options.batchSize, plan.options.maxSequences, plan.options.warmUpSteps) = (8, 16, 0)
        change(&plan.options)
        return try await JobEstimate(plan, on: try CPUBackend(threads: 2))
    }

    private func policyGradient(iterations: Int, measureEvery: Int) -> GRPO {
        var grpo = GRPO()
        (grpo.loop.iterations, grpo.loop.problemsPerIteration, grpo.loop.samplesPerProblem, grpo.loop.measureEvery) = (iterations, 4, 4, measureEvery)
        return grpo
    }

    @Test("policy gradients measure dev at the start, every so many iterations, and at the last", arguments: [(0, 1), (1, 20), (8, 3), (10, 2)])
    func measurements(measureEvery: Int, count: Int) async throws {
        let estimate = try await estimate(policyGradient(iterations: 20, measureEvery: measureEvery))
        #expect(estimate.sampledTokens == Self.length * (20 * 16 + (1 + count) * Self.dev + 2 * Self.test))
    }

    @Test("SCoRe measures both turns, also where its first stage ends")
    func twoTurns() async throws {
        var recipe = SCoRe()
        (recipe.loop.iterations, recipe.loop.problemsPerIteration, recipe.loop.samplesPerProblem, recipe.loop.measureEvery) = (6, 4, 4, 0)
        let estimate = try await estimate(recipe)
        #expect(estimate.sampledTokens == Self.length * 2 * (6 * 16 + 3 * Self.dev + 2 * Self.test))
    }

    @Test("a budget of tokens ends the iterations, and the last of them is measured")
    func budget() async throws {
        // An iteration samples 16 × 24 tokens and trains as many.
        let limited = try await estimate(policyGradient(iterations: 1000, measureEvery: 10)) { $0.tokenBudget = 3000 }
        let one = try await estimate(policyGradient(iterations: 1, measureEvery: 10))
        #expect(limited.sampledTokens == Self.length * (4 * 16 + 2 * Self.dev + 2 * Self.test))
        #expect(limited.trainedTokens == 4 * one.trainedTokens && one.trainedTokens > 0)
    }

    @Test("a budget of tokens ends a training, but not before its first step", arguments: [(2000, 6), (100, 1)])
    func budgetInsideTraining(tokens: Int, steps: Int) async throws {
        var long = STaR(), short = STaR()
        (long.firstSteps, long.rationalises) = (1000, false)
        (short.iterations, short.firstSteps, short.rationalises) = (1, steps, false)
        // 40 × 24 tokens are sampled, and a step trains 8 × 24.
        let (limited, whole) = (try await estimate(long) { $0.tokenBudget = tokens }, try await estimate(short))
        #expect(limited.sampledTokens == whole.sampledTokens && limited.trainedTokens == whole.trainedTokens)
    }

    @Test("failed problems are tried again, all of them where the model solves none")
    func rationales() async throws {
        var star = STaR()
        (star.iterations, star.firstSteps) = (1, 1)
        let twice = try await estimate(star)
        star.rationalises = false
        #expect(try await twice.sampledTokens - estimate(star).sampledTokens == Self.length * Self.train)
    }

    @Test("V-STaR also samples its candidates and trains its verifier")
    func verifier() async throws {
        var recipe = VSTaR()
        (recipe.iterations, recipe.samplesPerProblem, recipe.cap, recipe.candidates) = (1, 2, 1, 5)
        let once = try await estimate(recipe)
        #expect(once.sampledTokens == Self.length * (2 * Self.train + 2 * Self.dev + (2 + 5) * Self.test))
        // Nothing is right, so that the policy takes no step and all of them are the verifier's.
        recipe.verifierEpochs = 3
        let thrice = try await estimate(recipe)
        #expect(once.trainedTokens > 0 && thrice.trainedTokens == 3 * once.trainedTokens)
    }

    @Test("the data's own answers train without being sampled")
    func gold() async throws {
        var recipe = GoldAnswers()
        recipe.epochs = 1
        let once = try await estimate(recipe)
        // At the end answers are as long as the data's own.
        let last = once.sampledTokens - Self.length * (2 * Self.dev + Self.test)
        #expect(last > 0 && last < Self.length * Self.train)
        recipe.epochs = 4
        let longer = try await estimate(recipe)
        #expect(longer.trainedTokens == 4 * once.trainedTokens && longer.sampledTokens == once.sampledTokens)
        // All of them are right.
        recipe.verified = true
        #expect(try await estimate(recipe).trainedTokens == longer.trainedTokens)
    }

    @Test("completions that show the spread at the end are sampled too")
    func testSamples() async throws {
        let recipe = policyGradient(iterations: 1, measureEvery: 0)
        let (plain, spread) = (try await estimate(recipe), try await estimate(recipe) { $0.testSamples = 3 })
        #expect(spread.sampledTokens == plain.sampledTokens + Self.length * 3 * Self.test)
    }
}
