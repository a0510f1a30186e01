import Architectures
import Foundation
import ModelFiles
import Sampling
import Tasks
import Tensors
import Training

extension LearningLoop {
    // MARK: Selecting

    /// What a selector makes of rollouts, which may come from several phases.
    /// - Parameters:
    ///   - rollouts: judged ones.
    ///   - selector: chooses, pairs or weighs them.
    ///   - iteration: of the recipe; decides the selector's random choices.
    ///   - reference: whose log-probabilities the examples also get; nil: none.
    ///   - acrossIterations: whether rollouts of one problem are a group whatever iteration they are of; all iterations must have sampled the same problems.
    public func examples(
        from rollouts: [Rollout], _ selector: some Selector, iteration: Int, reference: PolicyVersion? = nil, acrossIterations: Bool = false
    ) throws -> [Example] {
        try examples(from: rollouts, selector, iteration: iteration, reference: reference.map { try decoder(of: $0) }, acrossIterations: acrossIterations) { _ in }
    }

    private func examples(
        from rollouts: [Rollout], _ selector: some Selector, iteration: Int, reference: Transformer?, acrossIterations: Bool = false, completing: (inout [Example]) throws -> Void
    ) throws -> [Example] {
        var examples = try rollouts.compactMap { try selector.trainsAsSampled ? sampledExample(of: $0) : example(of: $0) }
        if selector.comparesFirst, let reference { examples = examples.compared(with: reference) }
        try completing(&examples)
        let made = Dictionary(examples.map { ($0.rollouts[0], $0) }, uniquingKeysWith: { first, _ in first })
        let groups = acrossIterations ? Dictionary(grouping: rollouts.sorted { $0.key < $1.key }, by: \.key.index).sorted { $0.key < $1.key }.map(\.value) : rollouts.grouped()
        let selected = selector.examples(from: groups, using: key.folding("select").folding(iteration)) { made[$0.key] }
        return selector.comparesFirst ? selected : reference.map { selected.compared(with: $0) } ?? selected
    }

    /// The tokens as they were sampled, to the last, with what the policy said of them.
    private func sampledExample(of rollout: Rollout) -> Example? {
        guard !rollout.completionTokens.isEmpty else { return nil }
        return Example(
            promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens, weight: Float(rollout.importanceWeight(atMost: options.maximumImportanceWeight)),
            behaviorLogProbabilities: rollout.policyLogProbabilities ?? rollout.logProbabilities, rollouts: [rollout.key])
    }

    /// A rollout under its plain prompt: a hinted one is stored as if no hint had been given. What was cut off by its length never
    /// trains.
    private func example(of rollout: Rollout) throws -> Example? {
        guard rollout.finishReason == .stop else { return nil }
        let completion = completion(of: rollout)
        guard !completion.isEmpty else { return nil }
        var prompt = rollout.promptTokens
        if rollout.mode == .hinted {
            // What came after the first prompt stays.
            let hinted = try base.encode(environment.reset(rollout.problem, mode: .hinted))
            precondition(prompt.starts(with: hinted), "environment '\(environment.name)' puts problem '\(rollout.problem.id)' in another way than it was sampled")
            prompt = try base.encode(environment.reset(rollout.problem, mode: .plain)) + prompt.dropFirst(hinted.count)
        }
        return Example(
            promptTokens: prompt, completionTokens: completion, weight: Float(rollout.importanceWeight(atMost: options.maximumImportanceWeight)), rollouts: [rollout.key])
    }

    /// The tokens before a stop string and the end of the turn; all of them where a stop token ended the completion. Of a token that the stop string begins in, what stands before
    /// it is written in other tokens, since it was judged too; white space is left out.
    private func completion(of rollout: Rollout) -> [Int32] {
        if let last = rollout.completionTokens.last, base.stopTokens.contains(last) { return rollout.completionTokens }
        let bytes = rollout.completionTokens.flatMap { base.tokenizer.bytes(of: $0) }
        let end = environment.stops.compactMap { bytes.firstRange(of: Array($0.utf8))?.lowerBound }.min() ?? bytes.count
        var (kept, length) = ([Int32](), 0)
        for token in rollout.completionTokens {
            let own = base.tokenizer.bytes(of: token)
            length += own.count
            if length > end {
                let before = own.dropLast(length - end), text = String(decoding: before, as: UTF8.self), written = base.tokenizer.encode(text)
                if !text.allSatisfy(\.isWhitespace), written.flatMap({ base.tokenizer.bytes(of: $0) }) == Array(before) { kept += written }
                break
            }
            kept.append(token)
        }
        return kept + base.endTokens
    }

    /// Training problems under their plain prompts, with the answers that the data gives, as a model's own would end.
    /// - Parameter verified: only those that the environment's verifier finds right.
    /// - Throws: `RecipeFileError` where the data gives none.
    public func goldExamples(verified: Bool) async throws -> [Example] {
        // What is trained already is not judged again.
        if let recorded = try journal.examples(TrainingKey(iteration: 1, phase: "improve")) { return recorded }
        let given = try environment.ownAnswers(to: try environment.problems(in: .train), base)
        let rollouts = given.filter { $0.promptTokens.count + $0.completionTokens.count <= base.transformer.configuration.maxPositionEmbeddings }
        if rollouts.count < given.count { report(.note("\(given.count - rollouts.count) of the data's own answers do not fit into the model's context and are left out")) }
        let judged = await Self.judged(rollouts, by: environment.verifier), right = judged.count(where: \.isRight)
        report(.note("the data's own answers: \(right) of \(judged.count) are right by the task's verifier" + (verified ? "; those are trained" : "")))
        return judged.filter { !verified || $0.isRight }.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }
    }

    func example(_ worked: WorkedExample) throws -> Example {
        Example(
            promptTokens: try base.encode(worked.prompt),
            completionTokens: try base.encode(worked.completion, addSpecialTokens: false) + base.endTokens)
    }

    // MARK: Training

    /// One epoch is every example once (or every group that the objective judges together), in an order of its own; worked examples, where there are
    /// any and the objective takes plain texts, are mixed in.
    public func train(
        on examples: [Example], _ objective: any Objective, from policy: PolicyVersion, iteration: Int, epochs: Int, phase: String = "improve", pastBudget: Bool = false
    ) async throws -> PolicyVersion {
        // What was recorded counts, which a later selection could differ from.
        let recorded = try journal.examples(TrainingKey(iteration: iteration, phase: phase))
        let count = recorded.map { objective.groups($0).count } ?? (objective.groups(examples).count + (objective.trainsPlainText ? workedExamples.count : 0))
        return try await train(on: examples, objective, from: policy, iteration: iteration, steps: (count * epochs + options.batchSize - 1) / options.batchSize, phase: phase, positions: count * epochs, pastBudget: pastBudget)
    }

    /// The same of what a selector makes of rollouts: where that is recorded already, nothing is selected and no reference is asked again.
    public func train(
        on rollouts: [Rollout], _ selector: some Selector, _ objective: any Objective, from policy: PolicyVersion, iteration: Int, epochs: Int, reference: PolicyVersion? = nil,
        acrossIterations: Bool = false, phase: String = "improve", pastBudget: Bool = false
    ) async throws -> PolicyVersion {
        let recorded = try journal.examples(TrainingKey(iteration: iteration, phase: phase))
        let examples = try recorded ?? self.examples(from: rollouts, selector, iteration: iteration, reference: reference, acrossIterations: acrossIterations)
        return try await train(on: examples, objective, from: policy, iteration: iteration, epochs: epochs, phase: phase, pastBudget: pastBudget)
    }

    public func train(
        on examples: [Example], _ objective: any Objective, from policy: PolicyVersion, iteration: Int, steps: Int, phase: String = "improve", positions: Int = .max, pastBudget: Bool = false
    ) async throws -> PolicyVersion {
        guard !examples.isEmpty else {
            isCutShort = false
            report(.note("iteration \(iteration): nothing was selected, so nothing is trained"))
            return policy
        }
        return try train(TrainingKey(iteration: iteration, phase: phase), on: try examples + (objective.trainsPlainText ? workedExamples.map(example) : []), objective, from: policy, steps: steps, positions: positions, pastBudget: pastBudget)
    }

    /// - Parameters:
    ///   - positions: examples (or groups) that are trained in all, so that the last batch of the last epoch may be a short one.
    ///   - pastBudget: whether all steps are taken, whatever is left of the run's budget of tokens.
    func train(
        _ training: TrainingKey, on examples: [Example], _ objective: any Objective, from start: PolicyVersion, steps: Int, positions: Int = .max, pastBudget: Bool = false
    ) throws -> PolicyVersion {
        if let final = try journal.checkpoints(training).last(where: \.isFinal) {
            if training != .warmUp { spentTokens += try trainedTokens(training) }
            isCutShort = final.step < steps
            return PolicyVersion(training: training, weightsHash: final.weightsHash)
        }
        let examples = try journal.examples(training) ?? {
            try journal.record(examples, for: training)
            return examples
        }()
        rounded = nil
        let trainer = try makeTrainer(from: start, objective, steps: steps)
        loaded = nil
        let saved = ResumeState(path: "\(folder)/resume.safetensors")
        try saved.restore(trainer, training: training, start: start.weightsHash)

        order = (-1, [])  // of an earlier training, with its own key
        let orderKey = key.folding("order").folding(training.phase).folding(training.iteration)
        let groups = objective.groups(examples)
        let budget = options.tokenBudget > 0 && !pastBudget ? options.tokenBudget - spentTokens : .max
        var trained = try trainedTokens(training, upTo: trainer.optimizer.steps)
        while trainer.optimizer.steps < steps, trainer.optimizer.steps == 0 || trained < budget {
            let step = trainer.optimizer.steps
            let batch = (step * options.batchSize..<min(positions, (step + 1) * options.batchSize)).flatMap { position in
                examples[groups[orders(position / groups.count, count: groups.count, orderKey)[position % groups.count]]]
            }
            trained += try take(batch, trainer, training)
            let isLast = trainer.optimizer.steps == steps || trained >= budget
            let isStopping = !isLast && isCancelled()
            if isStopping || (!isLast && trainer.optimizer.steps % options.saveEvery == 0) {
                try saved.save(trainer, training: training, start: start.weightsHash)
            }
            if isStopping { throw Interrupted() }
        }
        for plugin in trainer.plugins { plugin.iterationEnd(trainer.decoder) }
        isCutShort = trainer.optimizer.steps < steps
        if isCutShort { report(.note("iteration \(training.iteration): the budget of \(options.tokenBudget) tokens is spent after \(trainer.optimizer.steps) of \(steps) updates")) }
        let version = try checkpoint(trainer.decoder, training: training, step: trainer.optimizer.steps, parents: [start.weightsHash])
        saved.discard()
        loaded = (version, trainer.decoder)
        if training != .warmUp { spentTokens += trained }
        return version
    }

    /// Of a training's steps so far.
    private func trainedTokens(_ training: TrainingKey, upTo step: Int = .max) throws -> Int {
        try journal.steps(training).reduce(0) { $0 + ($1.result.step <= step ? $1.result.trainedTokens : 0) }
    }

    /// One update, recorded and told.
    /// - Returns: tokens that it trained.
    @discardableResult
    private func take(_ batch: [Example], _ trainer: Trainer, _ training: TrainingKey) throws -> Int {
        let clock = ContinuousClock(), began = clock.now
        let result = try trainer.step(batch)
        let record = StepRecord(training: training, result: result, seconds: (clock.now - began) / .seconds(1))
        try journal.record(record)
        report(.stepped(record, total: trainer.totalSteps))
        return result.trainedTokens
    }

    /// A copy of a policy to be trained: of its weights, or of its adapter beside the base's, which a policy without one gets. Always the same bits for the same policy.
    private func trainable(_ policy: PolicyVersion) throws -> Transformer {
        let decoder = try decoder(of: policy)
        guard let adapter = options.adapter else { return decoder.copy(expanding: true) }
        return decoder.adapters.isEmpty ? try decoder.adapted(adapter, key: key.folding("adapter")) : decoder.copy()
    }

    private func makeTrainer(from start: PolicyVersion, _ objective: any Objective, steps: Int) throws -> Trainer {
        let trained = try trainable(start)
        var trainerOptions = options.trainer
        if options.adapter != nil { trainerOptions.optimizer = trainerOptions.optimizer.training(only: trained.adapterPatterns) }
        let trainer = Trainer(trained, objective: objective, options: trainerOptions, totalSteps: steps)
        trainer.plugins = makePlugins()
        return trainer
    }

    // MARK: Training that goes on through iterations

    /// One iteration of a training with one optimizer: the examples that a selector makes of rollouts are trained, and what comes out samples the next ones.
    ///
    /// The last policy is kept, and every `keepEvery`-th; where the loop `isSpent` afterwards it was the last, and the recipe has to end the training. The others live as
    /// long as they are used; after a kill the updates since the last save are taken again, from the recorded examples and therefore to the same bits.
    /// - Parameters:
    ///   - training: what goes on.
    ///   - iteration: counted from 1.
    ///   - rollouts: judged ones, sampled by the policy that the last iteration gave.
    ///   - selector: makes examples of them.
    public func advance(_ training: OnlineTraining, iteration: Int, on rollouts: [Rollout], _ selector: some Selector) throws -> PolicyVersion {
        let place = TrainingKey(iteration: iteration, phase: training.phase)
        if online?.training.phase != training.phase { online = OnlineState(training: training) }
        if let done = try journal.checkpoints(place).last(where: \.isFinal) {
            let version = PolicyVersion(training: place, weightsHash: done.weightsHash)
            spentTokens += try trainedTokens(place)
            online?.recorded.append(version)
            return iteration == training.iterations.upperBound || isSpent ? try conclude(version) : version
        }
        let trainer = try trainer(of: training, after: iteration - 1)
        rounded = nil
        let examples = try journal.examples(place) ?? {
            let moving = trainer.plugins.lazy.compactMap { $0 as? MovingReference }.first?.average
            let made = try self.examples(from: rollouts, selector, iteration: iteration, reference: moving ?? training.reference.map { try decoder(of: $0) }) { examples in
                guard let critic = trainer.critic else { return }
                for (index, laws) in trainer.decoder.score(examples, critic: critic).enumerated() { examples[index].values = laws.map(\.value) }
            }
            try journal.record(made, for: place)
            return made
        }()
        if examples.isEmpty { report(.note("iteration \(iteration): no group of answers tells better from worse, so nothing is trained")) }
        spentTokens += try update(trainer, training, iteration, examples, recording: true)
        let version: PolicyVersion
        let start = training.start.weightsHash, isLast = iteration == training.iterations.upperBound || isSpent
        if isLast { for plugin in trainer.plugins { plugin.iterationEnd(trainer.decoder) } }
        if isLast || (training.keepEvery > 0 && iteration % training.keepEvery == 0) {
            version = try checkpoint(trainer.decoder, training: place, step: trainer.optimizer.steps, parents: [start])
        } else {
            version = PolicyVersion(training: place, weightsHash: trainer.decoder.contentHash())
            try journal.record(CheckpointRecord(training: place, step: trainer.optimizer.steps, isFinal: true, path: nil, weightsHash: version.weightsHash, parents: [start]))
        }
        online?.recorded.append(version)
        online?.live = (trainer, iteration)
        if isLast {
            online = nil
            loaded = (version, trainer.decoder)
            saved(training).discard()
        } else if iteration % max(1, options.saveEvery / training.updates) == 0 {
            try saved(training).save(trainer, training: place, start: start)
        }
        return version
    }

    /// Ends such a training before its last iteration, for a reason of the recipe's own: the policy that it has is kept.
    /// - Returns: the policy that was kept; plug-ins may have had the last word, where it was not kept before.
    public func conclude(_ policy: PolicyVersion) throws -> PolicyVersion {
        // A save of another training of the run is not this one's to remove.
        let owned = try online.flatMap { state in
            try saved(state.training).savedIteration(phase: state.training.phase, start: state.training.start.weightsHash) == nil ? nil : saved(state.training)
        }
        defer { online = nil }
        var kept = policy
        if let place = policy.training, let done = try journal.checkpoints(place).last(where: \.isFinal), done.path == nil {
            let decoder = try decoder(of: policy)
            for plugin in online?.live?.trainer.plugins ?? [] { plugin.iterationEnd(decoder) }
            kept = try checkpoint(decoder, training: place, step: done.step, parents: done.parents)
            loaded = (kept, decoder)
        }
        owned?.discard()
        return kept
    }

    /// Saves a training that goes on, so that nothing is done twice.
    func saveOnline() throws {
        guard let online, let live = online.live else { return }
        try saved(online.training).save(live.trainer, training: TrainingKey(iteration: live.iteration, phase: online.training.phase), start: online.training.start.weightsHash)
    }

    private func saved(_ training: OnlineTraining) -> ResumeState { ResumeState(path: "\(folder)/resume.safetensors") }

    /// The updates of one iteration: each epoch cuts the examples, in an order of its own, into the training's batches.
    /// - Returns: tokens that they trained.
    @discardableResult
    private func update(_ trainer: Trainer, _ training: OnlineTraining, _ iteration: Int, _ examples: [Example], recording: Bool) throws -> Int {
        guard !examples.isEmpty else { return 0 }
        var trained = 0
        let place = TrainingKey(iteration: iteration, phase: training.phase), groups = training.objective.groups(examples)
        let orderKey = key.folding("order").folding(training.phase).folding(iteration)
        for epoch in 0..<training.epochs {
            let order = training.batches == 1 ? Array(groups.indices) : orderKey.folding(epoch).permutation(groups.count)
            for batch in 0..<training.batches {
                let part = order[batch * order.count / training.batches..<(batch + 1) * order.count / training.batches]
                guard !part.isEmpty else { continue }
                let chosen = part.flatMap { examples[groups[$0]] }
                trained += try recording ? take(chosen, trainer, place) : trainer.step(chosen).trainedTokens
            }
        }
        return trained
    }

    /// The trainer as it was after an iteration: the live one, or made again from what was saved and recorded.
    private func trainer(of training: OnlineTraining, after iteration: Int) throws -> Trainer {
        if let live = online?.live, live.iteration == iteration { return live.trainer }
        let trainer = try makeTrainer(from: training.start, training.objective, steps: training.iterations.count * training.updates)
        if let reference = training.reference, training.referenceDecay > 0 {
            // As a plug-in it is saved with the trainer, and the updates that are taken again after a kill move it again, to the same bits.
            trainer.plugins.append(MovingReference(try trainable(reference), decay: training.referenceDecay, trains: trainer.optimizer.trains))
            loaded = nil
        }
        if training.reference != loaded?.version { loaded = nil }
        var done = training.iterations.lowerBound - 1
        if let saved = try saved(training).savedIteration(phase: training.phase, start: training.start.weightsHash), saved <= iteration {
            try self.saved(training).restore(trainer, training: TrainingKey(iteration: saved, phase: training.phase), start: training.start.weightsHash)
            done = saved
        }
        for n in done..<max(done, iteration) {
            let place = TrainingKey(iteration: n + 1, phase: training.phase)
            try update(trainer, training, n + 1, try journal.examples(place) ?? [], recording: false)
            if isCancelled() {
                online?.live = (trainer, n + 1)
                try saveOnline()
                throw Interrupted()
            }
        }
        if let recorded = online?.recorded.last(where: { $0.training?.iteration == iteration }), trainer.decoder.contentHash() != recorded.weightsHash {
            throw ReplayError.changedCheckpoint(path: "the updates up to iteration \(iteration)", weightsHash: recorded.weightsHash)
        }
        online?.live = (trainer, iteration)
        return trainer
    }

    /// The weights of a version that is not kept.
    func onlineDecoder(of policy: PolicyVersion) throws -> Transformer? {
        guard let online, let place = policy.training, place.phase == online.training.phase, online.recorded.contains(policy) else { return nil }
        return try trainer(of: online.training, after: place.iteration).decoder
    }

    /// The order of an epoch, made once.
    private func orders(_ epoch: Int, count: Int, _ key: RandomKey) -> [Int] {
        if order.epoch != epoch || order.indices.count != count { order = (epoch, key.folding(epoch).permutation(count)) }
        return order.indices
    }

    /// Writes the folder under a temporary name, renames it, and only then names it in the journal.
    private func checkpoint(_ decoder: Transformer, training: TrainingKey, step: Int, parents: [String]) throws -> PolicyVersion {
        let name = training.checkpointPath
        let (path, temporary) = ("\(folder)/\(name)", "\(folder)/\(name).tmp")
        let files = FileManager.default
        try? files.removeItem(atPath: temporary)
        // Complete but not named: the process was killed between the two, and will write the same bytes again.
        try? files.removeItem(atPath: path)
        try files.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        let hash: String
        if decoder.adapters.isEmpty {
            hash = try base.with(decoder).save(to: temporary)
        } else {
            try base.with(decoder).saveAdapter(to: temporary, base: base.source ?? "")
            hash = decoder.contentHash()
        }
        let trainer = try JSONEncoder.stable.encode(options.trainer)
        try writeDurably(String(decoding: trainer, as: UTF8.self) + "\n", to: "\(temporary)/trainer.json")
        try files.moveItem(atPath: temporary, toPath: path)
        syncFolder("\(folder)/checkpoints")
        Fault.point("between rename and row")
        let record = CheckpointRecord(training: training, step: step, isFinal: true, path: name, weightsHash: hash, parents: parents)
        try journal.record(record)
        report(.checkpointed(record))
        return PolicyVersion(training: training, weightsHash: hash)
    }
}
