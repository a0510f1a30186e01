import Foundation
import ModelFiles
import Tensors
import Training

/// Weights and moments in the middle of a training, so that a killed one goes on exactly where it was.
///
/// One file, replaced atomically. It belongs to a training and to the weights that training began with; a file of another
/// one is ignored, and the training starts from its beginning: the result is the same, only later.
struct ResumeState {
    let path: String

    private static let kinds = ["first", "second", "third"]

    /// - Parameters:
    ///   - trainer: whose weights and moments are kept.
    ///   - training: to which they belong.
    ///   - start: what the training began with.
    ///   - notes: kept beside them, by names of the caller's.
    func save(_ trainer: Trainer, training: TrainingKey, start: String, notes: [String: String] = [:]) throws {
        let optimizer = trainer.optimizer, all = trainer.decoder.parameters, trained = all.parameters.filter { optimizer.trains($0) }
        let moments = zip(Self.kinds, optimizer.moments).map { kind, moment in (kind: kind, moment: moment, parameters: trained.filter { moment.trains($0) }) }
        // Plug-ins in declared order, their values in order of name.
        let kept = optimizer.state.sorted { $0.key < $1.key }.map { ("optimizer.\($0.key)", $0.value) }
            + trainer.plugins.flatMap { plugin in plugin.state.sorted { $0.key < $1.key }.map { ("plugin.\(plugin.name).\($0.key)", OptimizerState.floats($0.value)) } }
            + (trainer.critic?.state.sorted { $0.key < $1.key }.map { ("critic.\($0.key)", OptimizerState.floats($0.value)) } ?? [])
        let writer = try SafetensorsWriter(
            path: path,
            tensors: trained.map { ("parameter.\($0.name)", .f32, $0.shape) } + moments.flatMap { entry in entry.parameters.map { ("\(entry.kind).\($0.name)", .f32, $0.shape) } }
                + kept.map { name, state in
                    switch state {
                    case .floats(let values): (name, .f32, [values.count])
                    case .bytes(let bytes): (name, .u8, [bytes.count])
                    }
                },
            metadata: ["iteration": "\(training.iteration)", "phase": training.phase, "step": "\(optimizer.steps)", "start": start].merging(notes) { own, _ in own })
        for parameter in trained { try writer.append(all.read(parameter)) }
        for entry in moments { for parameter in entry.parameters { try writer.append(entry.moment.read(parameter)) } }
        for (_, state) in kept {
            switch state {
            case .floats(let values): try writer.append(values)
            case .bytes(let bytes): try bytes.withUnsafeBytes { try writer.append($0) }
            }
        }
        try writer.finish()
    }

    func restore(_ trainer: Trainer, training: TrainingKey, start: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let file = try SafetensorsFile(path: path), optimizer = trainer.optimizer
        guard file.metadata["iteration"] == "\(training.iteration)", file.metadata["phase"] == training.phase, file.metadata["start"] == start,
            let step = file.metadata["step"].flatMap({ Int($0) })
        else { return }
        for parameter in trainer.decoder.parameters.parameters where optimizer.trains(parameter) {
            try file.floats("parameter.\(parameter.name)").withUnsafeBufferPointer { trainer.decoder.parameters.write($0, to: parameter) }
            for (kind, moments) in zip(Self.kinds, optimizer.moments) where moments.trains(parameter) {
                try file.floats("\(kind).\(parameter.name)").withUnsafeBufferPointer { moments.write($0, to: parameter) }
            }
        }
        func tensors(_ prefix: String) -> [(key: String, info: TensorInfo)] {
            file.tensors.filter { $0.name.hasPrefix(prefix) }.map { (String($0.name.dropFirst(prefix.count)), $0) }
        }
        optimizer.state = Dictionary(uniqueKeysWithValues: try tensors("optimizer.").map { key, info in
            (key, info.dtype == .u8 ? .bytes(Array(file.bytes(info))) : .floats(try file.floats(info.name)))
        })
        for plugin in trainer.plugins {
            // At once: a plug-in may hold its values elsewhere.
            let kept = Dictionary(uniqueKeysWithValues: try tensors("plugin.\(plugin.name).").map { ($0.key, try file.floats($0.info.name)) })
            if !kept.isEmpty { plugin.state = kept }
        }
        if let critic = trainer.critic {
            for (key, info) in tensors("critic.") { critic.state[key] = try file.floats(info.name) }
            critic.optimizer.resume(at: step)
        }
        optimizer.resume(at: step)
    }

    /// What was kept beside the weights, with the name and the start of the training; nil where nothing was saved.
    func metadata() throws -> [String: String]? {
        FileManager.default.fileExists(atPath: path) ? try SafetensorsFile(path: path).metadata : nil
    }

    /// The iteration after which a training of this name and start was saved.
    func savedIteration(phase: String, start: String) throws -> Int? {
        guard let metadata = try metadata() else { return nil }
        return metadata["phase"] == phase && metadata["start"] == start ? metadata["iteration"].flatMap { Int($0) } : nil
    }

    func discard() { try? FileManager.default.removeItem(atPath: path) }
}
