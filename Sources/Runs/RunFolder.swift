import Foundation
import ModelFiles

/// The folder of one run, held for writing: nobody else can write it while this value lives.
///
///     recipe.yaml        exactly what is run; written once
///     run.sqlite         the record (`RunRecord`)
///     checkpoints/NNNN-phase/  complete models; written under a name that ends in .tmp and renamed
///     lineage.json       what every checkpoint was made from
///     report.html        curves and samples
public struct RunFolder: Sendable {
    public let path: String
    /// The text of recipe.yaml.
    public let recipe: String
    private let lock: FolderLock

    /// Starts a run. A folder without a run may be there already, as long as nothing else is in it.
    /// - Throws: `FileError` when there is a run already, or the folder cannot be written.
    public init(creating path: String, recipe: String) throws {
        let path = Self.normalized(path)
        self.path = path
        self.recipe = recipe
        try Self.checkFree(path)
        try Self.makeFolder(path)
        lock = try FolderLock(path)
        if Self.holdsRun(path) { throw Self.exists(path) }  // made while we waited
        try Self.makeFolder("\(path)/checkpoints")
        try writeDurably(recipe, to: recipePath)
        syncFolder(parentFolder(of: path))
    }

    /// Whether a run may begin there.
    /// - Throws: `FileError` when there is a run already, or something else.
    public static func checkFree(_ path: String) throws {
        let path = normalized(path)
        if holdsRun(path) { throw exists(path) }
        // What others keep among checkpoints would be taken for leftovers.
        let strangers = (entries(path) + entries("\(path)/checkpoints").map { "checkpoints/\($0)" }).filter { !ownNames.contains($0) }
        guard strangers.isEmpty else {
            throw FileError(
                file: path, problem: "is not empty and holds no run (\(strangers.prefix(3).joined(separator: ", ")))",
                advice: "Choose a folder that does not exist yet, for example runs/<name>.")
        }
    }

    /// Opens a run to go on with it.
    ///
    /// `recipe` is what is about to be run; `nil` takes what the folder holds.
    /// - Throws: `FileError` naming the keys that differ when the run was made with another recipe.
    public init(opening path: String, recipe: String? = nil) throws {
        let path = Self.normalized(path)
        self.path = path
        guard Self.holdsRun(path) else {
            throw FileError(file: path, problem: "holds no run: there is no recipe.yaml", advice: "Check the path; `autodidact runs list` lists what is there.")
        }
        lock = try FolderLock(path)
        let stored = try Self.storedRecipe(path)
        self.recipe = stored
        if let recipe, recipe != stored {
            let differences = RecipeKeys(yaml: stored).differences(to: RecipeKeys(yaml: recipe))
            guard differences.isEmpty else {
                throw FileError(
                    file: recipePath,
                    problem: "this run was made with another recipe:\n" + differences.map { "  \($0)" }.joined(separator: "\n") + "\n",
                    advice: "Go on with the run's own recipe (`autodidact learn --resume \(path)`), or start a new run with another --output.")
            }
        }
        try Self.makeFolder("\(path)/checkpoints")
    }

    /// Whether a run was started there.
    public static func holdsRun(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(normalized(path))/recipe.yaml") }

    /// Whether some process is writing the run now.
    public static func isBeingWritten(_ path: String) -> Bool { FolderLock.isHeld(normalized(path)) }

    public var name: String { (path as NSString).lastPathComponent }
    public var recipePath: String { "\(path)/recipe.yaml" }
    public var recordPath: String { "\(path)/run.sqlite" }
    public var lineagePath: String { "\(path)/lineage.json" }
    public var reportPath: String { "\(path)/report.html" }
    public var checkpointsPath: String { "\(path)/checkpoints" }

    /// Where something named relative to the run lies.
    public func location(of name: String) -> String { "\(path)/\(name)" }

    /// Removes what a killed process left: files and checkpoint folders under their temporary names, and complete checkpoint
    /// folders that no row of the record names (killed between rename and row; the step will be taken again).
    ///
    /// Of folders only those are touched whose names checkpoints can have (they begin with a digit).
    /// - Parameter named: the paths of all recorded checkpoints.
    /// - Returns: what was removed, relative to the run.
    @discardableResult
    public func removeLeftovers(named: [String]) throws -> [String] {
        let kept = Set(named.map { $0.split(separator: "/").prefix(2).joined(separator: "/") })
        var removed = Self.entries(path).filter { $0.hasSuffix(".tmp") }
        for entry in Self.entries(checkpointsPath) where entry.first?.isNumber == true {
            let name = "checkpoints/\(entry)"
            if entry.hasSuffix(".tmp") || !kept.contains(name) { removed.append(name) }
        }
        for name in removed {
            do {
                try FileManager.default.removeItem(atPath: location(of: name))
            } catch {
                throw FileError(
                    file: location(of: name), problem: "is left from a killed process and cannot be removed: \(error.localizedDescription)",
                    advice: "Remove it by hand, then resume.")
            }
        }
        if !removed.isEmpty {
            syncFolder(checkpointsPath)
            syncFolder(path)
        }
        return removed
    }

    // MARK: -

    private static let ownNames: Set<String> = [FolderLock.name, "checkpoints", "recipe.yaml.tmp", ".DS_Store"]

    private static func exists(_ path: String) -> FileError {
        FileError(file: path, problem: "already holds a run", advice: "Go on with `autodidact learn --resume \(path)`, or choose another --output.")
    }

    /// Without slashes at its end.
    public static func normalized(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    static func storedRecipe(_ path: String) throws -> String {
        guard let bytes = FileManager.default.contents(atPath: "\(path)/recipe.yaml") else {
            throw FileError(file: "\(path)/recipe.yaml", problem: "cannot be read", advice: "Check that the run exists and that you may read it.")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// In order of names.
    static func entries(_ path: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    private static func makeFolder(_ path: String) throws {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue { return }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FileError(
                file: path, problem: "the folder cannot be made: \(error.localizedDescription)",
                advice: "Check that the folder above it exists, is a folder, may be written to and has room; or choose another --output.")
        }
    }
}
