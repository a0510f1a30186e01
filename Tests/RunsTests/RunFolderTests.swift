import Foundation
import Runs
import Testing

@Suite("Run folders")
struct RunFolderTests {
    @Test("a new folder holds the recipe, byte for byte, and is found again")
    func creates() throws {
        try withTemporaryPath { path in
            #expect(!RunFolder.holdsRun(path))
            do {
                let folder = try RunFolder(creating: path + "/", recipe: recipe)
                #expect(folder.name == "run")
                #expect(try String(contentsOfFile: folder.recipePath, encoding: .utf8) == recipe)
            }
            #expect(RunFolder.holdsRun(path))
            #expect(try RunFolder(opening: path, recipe: recipe).recipe == recipe)
        }
    }

    @Test("a run is not created twice, nor among other files")
    func refusesToOverwrite() throws {
        try withTemporaryPath { path in
            do { _ = try RunFolder(creating: path, recipe: recipe) }
            #expect(runError { _ = try RunFolder(creating: path, recipe: recipe) }.contains("already holds a run"))
        }
        try withTemporaryPath { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(path)/thesis.txt"))
            #expect(runError { _ = try RunFolder(creating: path, recipe: recipe) }.contains("thesis.txt"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["thesis.txt"])
        }
    }

    @Test("what others keep among checkpoints is not touched: the folder is refused")
    func strangers() throws {
        try withTemporaryPath { path in
            try FileManager.default.createDirectory(atPath: "\(path)/checkpoints/500", withIntermediateDirectories: true)
            #expect(runError { _ = try RunFolder(creating: path, recipe: recipe) }.contains("checkpoints/500"))
            #expect(FileManager.default.fileExists(atPath: "\(path)/checkpoints/500"))
        }
    }

    @Test("a run killed before its recipe was written can be created again")
    func killedWhileCreating() throws {
        try withTemporaryPath { path in
            try FileManager.default.createDirectory(atPath: "\(path)/checkpoints", withIntermediateDirectories: true)
            try Data("task: ad".utf8).write(to: URL(fileURLWithPath: "\(path)/recipe.yaml.tmp"))
            #expect(try RunFolder(creating: path, recipe: recipe).recipe == recipe)
        }
    }

    @Test("another recipe is refused by the keys that differ, another order of keys is not")
    func recipeMismatch() throws {
        try withTemporaryPath { path in
            do { _ = try RunFolder(creating: path, recipe: recipe) }
            let other = recipe.replacingOccurrences(of: "0.001", with: "0.002").replacingOccurrences(of: "task: addition\n", with: "")
            let message = runError { _ = try RunFolder(opening: path, recipe: other) }
            #expect(message.contains("options.learningRate: '0.001' → '0.002'"))
            #expect(message.contains("task: 'addition' → absent"))
            #expect(!message.contains("max-tokens"))
            #expect(throws: Never.self) { _ = try RunFolder(opening: path, recipe: "# a comment\n" + recipe + "\n") }
        }
    }

    @Test("a folder without a run is refused")
    func noRun() throws {
        try withTemporaryPath { path in
            #expect(runError { _ = try RunFolder(opening: path) }.contains("holds no run"))
            #expect(runError { _ = try RunRecord(reading: path) }.contains("no record"))
        }
    }

    @Test("a run is written by one process at a time")
    func locked() throws {
        try withTemporaryPath { path in
            do {
                let folder = try RunFolder(creating: path, recipe: recipe)
                #expect(RunFolder.isBeingWritten(path))
                let message = runError { _ = try RunFolder(opening: path) }
                #expect(message.contains("another process is writing here"))
                #expect(message.contains("\(ProcessInfo.processInfo.processIdentifier)"))
                withExtendedLifetime(folder) {}
            }
            #expect(!RunFolder.isBeingWritten(path))
            #expect(throws: Never.self) { _ = try RunFolder(opening: path) }
        }
    }

    @Test("opening removes what a killed process left, and nothing else")
    func leftovers() throws {
        try withTemporaryPath { path in
            let files = FileManager.default
            do {
                let record = try RunRecord(writing: RunFolder(creating: path, recipe: recipe))
                try record.record(checkpoint(1, hash: "bb", parents: ["aa"]))
                try record.close()
            }
            for name in ["checkpoints/0001-improve", "checkpoints/0002-improve", "checkpoints/0003-improve.tmp", "checkpoints/notes"] {
                try files.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
                try Data([1]).write(to: URL(fileURLWithPath: "\(path)/\(name)/model.safetensors"))
            }
            try Data("{".utf8).write(to: URL(fileURLWithPath: "\(path)/lineage.json.tmp"))
            let record = try RunRecord(writing: RunFolder(opening: path))
            #expect(try files.contentsOfDirectory(atPath: "\(path)/checkpoints").sorted() == ["0001-improve", "notes"])
            #expect(files.fileExists(atPath: "\(path)/checkpoints/0001-improve/model.safetensors"))
            #expect(!files.fileExists(atPath: "\(path)/lineage.json.tmp"))
            try record.close()
        }
    }

    @Test("a folder that cannot be written is named, with what to do")
    func unwritable() throws {
        try withTemporaryPath { path in
            try Data("a file".utf8).write(to: URL(fileURLWithPath: path))
            let message = runError { _ = try RunFolder(creating: "\(path)/below", recipe: recipe) }
            #expect(message.contains("\(path)/below") && message.contains("Check"))
        }
    }

    @Test("a record that cannot be opened is named, in SQLite's words")
    func unopenable() throws {
        try withTemporaryPath { path in
            let folder = try RunFolder(creating: path, recipe: recipe)
            try FileManager.default.createDirectory(atPath: folder.recordPath, withIntermediateDirectories: true)
            let message = runError { _ = try RunRecord(writing: folder) }
            #expect(message.contains("run.sqlite: SQLite: unable to open database file"))
        }
        try withTemporaryPath { path in
            let folder = try RunFolder(creating: path, recipe: recipe)
            try Data(repeating: 0x41, count: 8192).write(to: URL(fileURLWithPath: folder.recordPath))
            #expect(runError { _ = try RunRecord(writing: folder) }.contains("file is not a database"))
        }
    }
}

@Suite("Recipe keys")
struct RecipeKeysTests {
    @Test("a recipe becomes dotted keys")
    func keys() {
        let keys = RecipeKeys(
            yaml: """
                # how it began
                schema: 1
                model: "a: b"  # quoted
                options:
                  stops:
                  - 'Q:'
                  - plain
                  groups:
                    - name: a
                      rate: 0.1
                    - name: b
                  prompt: |
                    Q: {question}

                    A:
                  empty: {}
                  missing:
                last: [1, 2]
                """)
        #expect(
            keys.values.filter { $0.key != "options.prompt" } == [
                "schema": "1", "model": "a: b", "options.stops[0]": "Q:", "options.stops[1]": "plain", "options.groups[0].name": "a",
                "options.groups[0].rate": "0.1", "options.groups[1].name": "b", "options.empty": "{}", "options.missing": "", "last[0]": "1", "last[1]": "2",
            ])
        #expect(keys.values["options.prompt"] == "Q: {question}\n\nA:\n")
        #expect(keys.differences(to: keys).isEmpty)
    }

    @Test("a changed line of a text is a difference, however it is written")
    func block() {
        #expect(RecipeKeys(yaml: "a: 1e-4\nb: 0e+0\nc: 8.00000011920929e-1\nd: 1.0").differences(to: RecipeKeys(yaml: "a: 0.0001\nb: 0\nc: 0.8\nd: 2")).map(\.key) == ["d"])
        #expect(RecipeKeys(yaml: "s: 123456789").differences(to: RecipeKeys(yaml: "s: 123456788")).count == 1)
        #expect(RecipeKeys(yaml: "p: |-\n  a\n\n  b\n") == RecipeKeys(yaml: "p: \"a\\n\\nb\"\n"))
        #expect(RecipeKeys(yaml: "p: 'a\n\n  b'\n").differences(to: RecipeKeys(yaml: "p: 'a\n\n\n  b'\n")).map(\.key) == ["p"])
        let first = RecipeKeys(yaml: "prompt: |\n  Q: {q}\n  A:\nseed: 1\n")
        let second = RecipeKeys(yaml: "prompt: |\n  Q: {q}\n  Answer:\nseed: 1\n")
        #expect(first.differences(to: second).map(\.key) == ["prompt"])
        #expect(first.values["seed"] == "1")
    }
}
