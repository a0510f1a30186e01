import Foundation
import ModelFiles

/// How a model was trained to be asked, kept beside its weights: asked otherwise it would answer worse, and nobody would know why.
public protocol AskingForm: Codable, Sendable, Equatable {
    /// The file's name in the folder of a model or an adapter.
    static var file: String { get }
    /// What such a file says, and what helps where one says something else.
    static var contents: String { get }
    static var advice: String { get }
}

extension AskingForm {
    /// Of a model's or an adapter's folder; nil where there is none.
    /// - Throws: `FileError` for a file that says something else.
    public static func read(from folder: String) throws -> Self? {
        let path = "\(folder)/\(file)"
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        do { return try JSONDecoder().decode(Self.self, from: data) } catch {
            throw FileError(file: path, problem: "does not say how the model is asked (\(contents))", advice: advice)
        }
    }

    public func write(to folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try writeDurably(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: "\(folder)/\(Self.file)")
    }
}

/// The forms that a folder holds, whatever they are of.
public enum AskingForms {
    private static let files = [Classifier.Form.file, RewardModel.Form.file, RationaleModel.Form.file]

    /// Names of the files that a folder has.
    public static func files(in folder: String) -> [String] { files.filter { FileManager.default.fileExists(atPath: "\(folder)/\($0)") } }

    /// Keeps with other weights what belongs to them too, in place of what is there.
    public static func copy(from folder: String, to other: String) throws {
        for file in files(in: folder) {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(file)") else { throw FileError(file: "\(folder)/\(file)", problem: "cannot be read", advice: "Check its permissions.") }
            try writeDurably(String(decoding: data, as: UTF8.self), to: "\(other)/\(file)")
        }
    }
}
