import Foundation

/// What can go wrong between a model hub and the cache: which repository or file, what happened, and what to do about it.
///
/// Trouble with the disk is a `FileError`, which names the path.
public enum HubError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The text does not name a repository.
    case badReference(String, problem: String)
    /// An option or an environment variable that makes no sense.
    case badSetting(String, value: String, problem: String)
    /// The hub lists a file whose name would lead out of the snapshot's folder, or is no name at all.
    case unsafeName(String, repository: String)
    case noSuchRepository(String, endpoint: String, nearest: String?)
    case noSuchRevision(String, repository: String)
    /// `candidates` are files that could have been meant, the likeliest first.
    case noSuchFile(String, repository: String, candidates: [String])
    /// 401 or 403.
    case accessDenied(repository: String, endpoint: String, sentToken: Bool, isGated: Bool, message: String?)
    /// Any other status that is no success and that trying again does not change.
    case refused(url: String, status: Int, message: String?)
    /// Nothing that was tried brought an answer.
    case unreachable(url: String, problem: String, attempts: Int)
    /// An answer that a hub does not give.
    case badAnswer(url: String, problem: String)
    case wrongLength(file: String, repository: String, expected: Int64, found: Int64)
    case wrongChecksum(file: String, repository: String, expected: String, found: String)
    /// The hub names the file's content by something that is neither a SHA-256 nor a git hash, so that it could not be checked.
    case noChecksum(file: String, repository: String, etag: String?)
    /// Nothing but GGUF files, of which a person wants one.
    case nameOneGGUF(repository: String, files: [String])
    /// No weights but pickled ones.
    case onlyPickles(repository: String, files: [String])
    case nothingSelected(repository: String, files: [String])
    /// The network may not be used, or not for `cached`, and the cache does not have it.
    case notCached(String, revision: String, cache: String, isOffline: Bool)
    /// Weights that the snapshot's own index names are not there.
    case incomplete(folder: String, missing: String)
    case notEnoughRoom(folder: String, needed: Int64, free: Int64)

    public var description: String {
        switch self {
        case .badReference(let text, let problem):
            "'\(text)' names no model: \(problem). Write ORG/NAME, or ORG/NAME:FILE for one file of it."
        case .badSetting(let name, let value, let problem):
            "\(name) '\(value)' \(problem)."
        case .unsafeName(let file, let repository):
            "\(repository): the hub lists a file named '\(printable(file))', which would lie outside of the model's folder. "
                + "Nothing was fetched. Check the endpoint: no honest hub does that."
        case .noSuchRepository(let repository, let endpoint, let nearest):
            "\(endpoint) has no model '\(repository)'"
                + (nearest.map { "; did you mean '\($0)', which is in the cache?" } ?? ".")
                + " Check the spelling, and whether it is a data set or a Space rather than a model. A private model needs a token in HF_TOKEN."
        case .noSuchRevision(let revision, let repository):
            "\(repository) has no revision '\(revision)'. Give a branch, a tag or a commit's full hash with --revision; most models have 'main'."
        case .noSuchFile(let file, let repository, let candidates):
            "\(repository) has no file '\(file)'. " + (candidates.isEmpty ? "Check the model's page for its files." : "It has \(list(candidates)).")
        case .accessDenied(let repository, let endpoint, let sentToken, let isGated, let message):
            "\(endpoint) refuses \(repository)\(message.map { " (\(printable($0)))" } ?? ""). "
                + (isGated
                    ? "The model is behind a licence: accept it at \(endpoint)/\(repository)"
                        + (sentToken ? ", with the account that your token belongs to." : ", then put a token of that account in HF_TOKEN.")
                    : sentToken
                        ? "The token is not valid, or may not read this model: check HF_TOKEN, and the spelling of the name."
                        : "The name is misspelt, or the model is private or behind a licence: then put a token in HF_TOKEN.")
        case .refused(let url, let status, let message):
            "\(url) answers with status \(status)\(message.map { " (\(printable($0)))" } ?? ""). Check the endpoint and the name."
        case .unreachable(let url, let problem, let attempts):
            "\(url) could not be fetched in \(attempts) attempt\(attempts == 1 ? "" : "s"): \(problem). "
                + "Check the network and the endpoint, and give the same command again: what has come is not fetched twice. With HF_HUB_OFFLINE=1 models come from the cache alone."
        case .badAnswer(let url, let problem):
            "\(url): \(problem). Check that the endpoint is a model hub, and that no proxy changes its answers."
        case .wrongLength(let file, let repository, let expected, let found):
            "\(repository): '\(file)' should have \(expected) bytes, but \(found) were offered. "
                + "What had come was deleted; try again, and check the proxy or mirror in between if it happens again."
        case .wrongChecksum(let file, let repository, let expected, let found):
            "\(repository): '\(file)' arrived with the hash \(found), but should have \(expected). "
                + "What had come was deleted; try again, and check the proxy or mirror in between if it happens again."
        case .noChecksum(let file, let repository, let etag):
            "\(repository): the hub gives no hash for '\(file)'\(etag.map { " ('\(printable($0))' is none)" } ?? ""), so that its content could not be checked. "
                + "Use another endpoint."
        case .nameOneGGUF(let repository, let files):
            "\(repository) holds GGUF files; name one, as in \(repository):\(files.first?.split(separator: " ").first ?? "FILE"). There are:\n"
                + files.map { "  " + $0 }.joined(separator: "\n")
        case .onlyPickles(let repository, let files):
            "\(repository) has no safetensors, only pickles (\(list(files))), which can run any code when they are opened. "
                + "Look for a version in safetensors, or name what you want with --include."
        case .nothingSelected(let repository, let files):
            "no file of \(repository) is selected. " + (files.isEmpty ? "It is empty." : "It has \(list(files)); choose with --include.")
        case .notCached(let what, let revision, let cache, let isOffline):
            "\(what)\(revision == "main" ? "" : " at revision \(revision)") is not in the cache \(cache)"
                + (isOffline
                    ? ", and HF_HUB_OFFLINE forbids fetching it. Unset HF_HUB_OFFLINE, or set HF_HUB_CACHE to the folder that has it."
                    : ". Fetch it with: autodidact pull \(what)\(revision == "main" ? "" : " --revision \(revision)")")
        case .incomplete(let folder, let missing):
            "\(folder) lacks '\(missing)', which its index names. Fetch the rest with autodidact pull, without HF_HUB_OFFLINE."
        case .notEnoughRoom(let folder, let needed, let free):
            "\(folder): \(byteCount(needed)) are to come, but the disk has room for \(byteCount(free)). Make room, or set HF_HUB_CACHE to a folder on another disk."
        }
    }

    public var errorDescription: String? { description }

    private func list(_ names: [String]) -> String {
        names.prefix(8).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }
}

/// A text from the network without what would steer a terminal, and not too long for a message.
func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(300).map { $0.properties.generalCategory == .control ? "?" : $0 }))
}

/// A size for people: "1.2 GB".
public func byteCount(_ bytes: Int64) -> String {
    var (value, unit) = (Double(bytes), 0)
    while value >= 999.5, unit < 4 { (value, unit) = (value / 1000, unit + 1) }
    return unit == 0 ? "\(bytes) bytes" : String(format: value < 9.95 ? "%.1f %@" : "%.0f %@", value, ["", "kB", "MB", "GB", "TB"][unit])
}
