/// Weights that a replay needs and the run no longer has.
public enum ReplayError: Error, CustomStringConvertible {
    case missingCheckpoint(training: TrainingKey?, weightsHash: String, path: String?)

    case changedCheckpoint(path: String, weightsHash: String)

    public var description: String {
        switch self {
        case .changedCheckpoint(let path, let hash):
            "\(path)/model.safetensors no longer holds the weights that were recorded (\(hash.prefix(12))…). Put the original back, or run the recipe again in a new folder."
        case .missingCheckpoint(let training, let hash, let path):
            "the checkpoint \(path.map { "\($0) " } ?? "")\(training.map { "of iteration \($0.iteration) (\($0.phase)) " } ?? "")with weights \(hash.prefix(12))… is missing. Run the recipe again with the same seed in a new folder to make it."
        }
    }
}
