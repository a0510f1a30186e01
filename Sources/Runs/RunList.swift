import Foundation
import GRDB
import Recipes

/// One line of `autodidact runs`.
public struct RunSummary: Equatable, Sendable {
    public enum State: Equatable, Sendable, CustomStringConvertible {
        /// Some process is writing it now.
        case running
        case finished
        /// Can be resumed.
        case interrupted
        /// Its record cannot be read.
        case unreadable(reason: String)

        public var description: String {
            switch self {
            case .running: "running"
            case .finished: "finished"
            case .interrupted: "interrupted"
            case .unreadable(let reason): "unreadable: \(reason)"
            }
        }
    }

    public var name: String
    public var path: String
    public var state: State
    public var iterations: [Int]
    /// The accuracy measured last, over all categories: on test once it was opened, on dev before.
    public var accuracy: MetricRecord?
    public var checkpoints: Int
    public var steps: Int

    /// - Parameter path: the run's folder.
    public init(of path: String) {
        let path = RunFolder.normalized(path)
        self.path = path
        name = (path as NSString).lastPathComponent
        let isRunning = RunFolder.isBeingWritten(path)
        do {
            let record = try RunRecord(reading: path)
            iterations = try record.iterations()
            let accuracies = try record.metrics().filter { $0.name == "accuracy" && $0.category.isEmpty }
            accuracy = accuracies.last { $0.phase == "test" } ?? accuracies.last { $0.phase == "dev" }
            checkpoints = try record.checkpoints().count { $0.path != nil }
            steps = try record.stepCount()
            state = isRunning ? .running : try record.isFinished ? .finished : .interrupted
        } catch {
            (iterations, accuracy, checkpoints, steps) = ([], nil, 0, 0)
            let isNew = !FileManager.default.fileExists(atPath: "\(path)/run.sqlite")
            state = isRunning ? .running : isNew ? .interrupted : .unreadable(reason: "\(error)")
        }
    }

    /// The runs in a folder, in order of names; a run that cannot be read is listed as such.
    public static func list(in folder: String) -> [RunSummary] {
        RunFolder.entries(folder).map { "\(RunFolder.normalized(folder))/\($0)" }.filter { RunFolder.holdsRun($0) }.map { RunSummary(of: $0) }
    }
}

extension RunRecord {
    func stepCount() throws -> Int { try rows("steps", "SELECT COUNT(*) AS total FROM steps") { try $0.int("total") }.first ?? 0 }
}
