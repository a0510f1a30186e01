/// A model on a hub, or one file of it: `ORG/NAME`, or `ORG/NAME:FILE`.
public struct ModelReference: Sendable, Equatable, CustomStringConvertible {
    /// `ORG/NAME`; some old models have no `ORG`.
    public let repository: String
    /// The one file that is wanted, as the repository names it; `nil` is what a model needs.
    public let file: String?

    /// - Throws: `HubError.badReference`.
    public init(_ text: String) throws(HubError) {
        func refusal(_ problem: String) -> HubError { .badReference(text, problem: problem) }
        guard !text.contains("://") else { throw refusal("it is an address; the endpoint is an option of its own") }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if let problem = Self.problem(ofRepository: parts[0]) { throw refusal(problem) }
        repository = parts[0]
        file = parts.count > 1 ? parts[1] : nil
        if let file, !isSafePath(file) { throw refusal("'\(printable(file))' is not a path inside the repository") }
    }

    public var description: String { file.map { "\(repository):\($0)" } ?? repository }

    /// The rules of the hub, which keep the name of the cache's folder unambiguous.
    private static func problem(ofRepository name: String) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts.contains("") else { return "a name has one slash, between organisation and model" }
        guard name.utf8.count <= 96 else { return "a name has at most 96 characters" }
        for part in parts {
            guard part.utf8.allSatisfy(isNameByte) else { return "'\(printable(String(part)))' holds more than letters, digits, '-', '_' and '.'" }
            guard !part.hasPrefix("."), !part.hasPrefix("-"), !part.hasSuffix("."), !part.hasSuffix("-") else { return "'\(part)' begins or ends with '.' or '-'" }
        }
        guard !name.contains("--"), !name.contains("..") else { return "'--' and '..' are not allowed in a name" }
        return name.hasSuffix(".git") ? "a name does not end in .git" : nil
    }
}

func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
    default: false
    }
}

/// Whether a name given by a stranger stays inside the folder it is put in, and is fit for a terminal.
///
/// Relative, with `/` between parts, none of which is empty, `.` or `..`; no backslash, no control character.
func isSafePath(_ path: String) -> Bool {
    guard !path.isEmpty, path.utf8.count <= 1024 else { return false }
    guard path.unicodeScalars.allSatisfy({ $0 != "\\" && $0.properties.generalCategory != .control }) else { return false }
    return path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { part in
        !part.isEmpty && part.count <= 255 && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
    }
}

/// `text` as one or more parts of a URL's path: every byte but the unreserved ones of RFC 3986 as `%XX`.
func percentEncoded(_ text: String, keepingSlashes: Bool) -> String {
    var result = ""
    for byte in text.utf8 {
        if isNameByte(byte) || byte == UInt8(ascii: "~") || (keepingSlashes && byte == UInt8(ascii: "/")) {
            result.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
        }
    }
    return result
}
