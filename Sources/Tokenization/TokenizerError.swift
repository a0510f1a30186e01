/// Why a tokenizer could not be made, and what to do about it.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// The file is fine, but needs an algorithm or a setting that this module does not implement.
    case unsupported(algorithm: String, source: String)
    /// The file contradicts itself or its format.
    case malformed(source: String, location: String, problem: String, fix: String)
    case unreadable(path: String, reason: String)

    public var description: String {
        switch self {
        case .unsupported(let algorithm, let source):
            "\(source): the tokenizer needs '\(algorithm)', which is not supported. "
                + "Supported are BPE, Unigram, WordPiece, WordLevel and SentencePiece tokenizers with the stages of well-known models; use one of these."
        case .malformed(let source, let location, let problem, let fix):
            "\(source): \(location): \(problem). \(fix)"
        case .unreadable(let path, let reason):
            "\(path): \(reason). Check the path, and that the model was downloaded completely."
        }
    }
}
