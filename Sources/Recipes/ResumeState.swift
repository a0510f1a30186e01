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

    func save(_ trainer: Trainer, training: TrainingKey, start: String) throws {
        let parameters = trainer.decoder.parameters.parameters.filter { trainer.optimizer.trains($0) }
        // Plug-ins in declared order, their values in order of name.
        let kept = trainer.plugins.flatMap { plugin in plugin.state.sorted { $0.key < $1.key }.map { ("plugin.\(plugin.name).\($0.key)", $0.value) } }
            + (trainer.critic?.state.sorted { $0.key < $1.key }.map { ("critic.\($0.key)", $0.value) } ?? [])
        let names = ["parameter", "first", "second"].flatMap { kind in parameters.map { ("\(kind).\($0.name)", DType.f32, $0.shape) } }
        let writer = try SafetensorsWriter(
            path: path, tensors: names + kept.map { ($0.0, .f32, [$0.1.count]) },
            metadata: ["iteration": "\(training.iteration)", "phase": training.phase, "step": "\(trainer.optimizer.steps)", "start": start])
        for parameter in parameters { try writer.append(trainer.decoder.parameters.read(parameter)) }
        for moments in trainer.optimizer.moments { for parameter in parameters { try writer.append(moments.read(parameter)) } }
        for (_, values) in kept { try writer.append(values) }
        try writer.finish()
    }

    func restore(_ trainer: Trainer, training: TrainingKey, start: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let file = try SafetensorsFile(path: path)
        guard file.metadata["iteration"] == "\(training.iteration)", file.metadata["phase"] == training.phase, file.metadata["start"] == start,
            let step = file.metadata["step"].flatMap({ Int($0) })
        else { return }
        for parameter in trainer.decoder.parameters.parameters where trainer.optimizer.trains(parameter) {
            try file.floats("parameter.\(parameter.name)").withUnsafeBufferPointer { trainer.decoder.parameters.write($0, to: parameter) }
            for (kind, moments) in zip(["first", "second"], trainer.optimizer.moments) {
                try file.floats("\(kind).\(parameter.name)").withUnsafeBufferPointer { moments.write($0, to: parameter) }
            }
        }
        for plugin in trainer.plugins {
            let prefix = "plugin.\(plugin.name)."
            for tensor in file.tensors where tensor.name.hasPrefix(prefix) { plugin.state[String(tensor.name.dropFirst(prefix.count))] = try file.floats(tensor.name) }
        }
        if let critic = trainer.critic {
            for name in critic.state.keys { critic.state[name] = try file.floats("critic.\(name)") }
            critic.optimizer.resume(at: step)
        }
        trainer.optimizer.resume(at: step)
    }

    /// The iteration after which a training of this name and start was saved.
    func savedIteration(phase: String, start: String) throws -> Int? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let metadata = try SafetensorsFile(path: path).metadata
        return metadata["phase"] == phase && metadata["start"] == start ? metadata["iteration"].flatMap { Int($0) } : nil
    }

    func discard() { try? FileManager.default.removeItem(atPath: path) }
}
