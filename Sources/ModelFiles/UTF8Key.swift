import Foundation

/// A string compared by its UTF-8 bytes.
///
/// Swift's `String` compares by canonical equivalence: "é" in one scalar equals "e" with a combining accent.
/// Vocabularies and tensor names hold both as different entries, so everything that looks names up uses this key.
public struct UTF8Key: Hashable, Sendable {
    public let string: String

    @inlinable public init(_ string: String) { self.string = string }

    public static func == (a: UTF8Key, b: UTF8Key) -> Bool { sameBytes(a.string, b.string) }

    public func hash(into hasher: inout Hasher) {
        var copy = string
        copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// Whether two strings hold the same UTF-8 bytes.
func sameBytes(_ a: String, _ b: String) -> Bool {
    let count = a.utf8.count
    guard count == b.utf8.count else { return false }
    var (a, b) = (a, b)
    return a.withUTF8 { left in
        b.withUTF8 { right in
            count == 0 || memcmp(left.baseAddress!, right.baseAddress!, count) == 0
        }
    }
}
