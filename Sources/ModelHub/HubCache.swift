import Foundation
import ModelFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One repository's part of the cache, in the layout of huggingface_hub:
///
///     models--ORG--NAME/blobs/HASH                  the content, once
///     models--ORG--NAME/refs/main                   the commit that a branch or tag stood for
///     models--ORG--NAME/snapshots/COMMIT/FILE       -> ../../blobs/HASH
///     .locks/models--ORG--NAME/HASH.lock
struct HubCache: Sendable {
    let root: String
    let repository: String

    private var folderName: String { "models--" + repository.split(separator: "/").joined(separator: "--") }
    var folder: String { "\(root)/\(folderName)" }
    func snapshot(_ commit: String) -> String { "\(folder)/snapshots/\(commit)" }
    func blob(_ hash: ContentHash) -> String { "\(folder)/blobs/\(hash.text)" }
    func lock(_ name: String) -> String { "\(root)/.locks/\(folderName)/\(name).lock" }
    /// Where a download that is not finished lies.
    func partial(_ hash: ContentHash) -> String { blob(hash) + ".incomplete" }

    // MARK: Looking

    /// The commit that a branch, tag or hash stands for, as far as the cache knows.
    func commit(of revision: String) -> String? {
        if isCommit(revision) { return revision }
        guard let data = FileManager.default.contents(atPath: "\(folder)/refs/\(revision)") else { return nil }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return isCommit(text) ? text : nil
    }

    /// The path of a file of a snapshot, if its content is there.
    func file(_ name: String, of commit: String) -> String? {
        let path = "\(snapshot(commit))/\(name)"
        return fileSize(path) == nil ? nil : path
    }

    /// Whether the content is there, with the size it should have.
    func has(_ hash: ContentHash, size: Int64?) -> Bool {
        guard let found = fileSize(blob(hash)) else { return false }
        return size == nil || found == size
    }

    /// The first file that the snapshot's own index of weights names and that is not there.
    func missingShard(of commit: String) -> String? {
        guard let index = file("model.safetensors.index.json", of: commit), file("model.safetensors", of: commit) == nil,
            let map = try? JSON.read(path: index)["weight_map"]?.object
        else { return nil }
        return Set(map.members.compactMap(\.value.string)).sorted().first { file($0, of: commit) == nil }
    }

    /// The repositories that the cache holds anything of.
    static func repositories(in root: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.filter { $0.hasPrefix("models--") }.map { $0.dropFirst("models--".count).replacingOccurrences(of: "--", with: "/") }.sorted()
    }

    /// What a user may still write to the disk of the cache; `nil` where the system does not say.
    var freeBytes: Int64? {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        return Int64(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    // MARK: Changing

    /// Makes the folders of the repository.
    /// - Throws: `FileError`, as the others.
    func prepare() throws {
        for path in ["\(folder)/blobs", "\(folder)/refs", "\(folder)/snapshots", "\(root)/.locks/\(folderName)"] { try makeFolder(path) }
    }

    /// Gives a snapshot's file its content: a relative link, so that the cache may be moved.
    func link(_ name: String, to hash: ContentHash, in commit: String) throws {
        let path = "\(snapshot(commit))/\(name)"
        try makeFolder(parentFolder(of: path))
        let depth = name.utf8.count { $0 == UInt8(ascii: "/") } + 2
        let target = String(repeating: "../", count: depth) + "blobs/\(hash.text)"
        if linkTarget(path) == target { return }
        // Made beside and renamed, so that a reader never finds the name missing.
        let temporary = "\(path).\(UUID().uuidString).tmp"
        guard symlink(target, temporary) == 0 else { throw FileError(file: path, cannotBe: "linked", errno: errno) }
        guard rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw FileError(file: path, cannotBe: "linked", errno: code)
        }
    }

    /// Remembers what a branch or tag stood for.
    func remember(_ revision: String, is commit: String) async throws {
        guard !isCommit(revision), self.commit(of: revision) != commit else { return }
        let path = "\(folder)/refs/\(revision)"
        try makeFolder(parentFolder(of: path))
        // Two writers would share the temporary file.
        try await withFileLock(lock("ref-" + percentEncoded(revision, keepingSlashes: false))) { try writeDurably(commit, to: path) }
    }
}

private func makeFolder(_ path: String) throws {
    // By the system's own call, whose error number tells a full disk from a folder that may not be written to.
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue { return }
    let parent = parentFolder(of: path)
    if parent != path, parent != "." { try makeFolder(parent) }
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw FileError(file: path, cannotBe: "created", errno: errno) }
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else { throw FileError(file: path, cannotBe: "created", errno: ENOTDIR) }
}

/// The bytes of a regular file, links followed; `nil` when there is none.
func fileSize(_ path: String) -> Int64? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int64(status.st_size)
}

private func linkTarget(_ path: String) -> String? { try? FileManager.default.destinationOfSymbolicLink(atPath: path) }
