import Autodidact
import Foundation
import Tasks
import Testing

/// A document's code and commands.
private struct Document {
    struct Block {
        var language: String
        /// The file it is about.
        var title: String?
        var lines: [String] = []

        /// What must stand in that file in these words: of a diff, each hunk as it is before the change.
        var pieces: [[String]] {
            guard language == "diff" else { return [lines] }
            return lines.split { $0.hasPrefix("@@") }.map { hunk in hunk.filter { !$0.hasPrefix("+") }.map { String($0.dropFirst()) } }
        }
    }
    static let verbs: Set<String> = ["learn", "rl", "sft", "prefer", "reward", "self-label", "rationales", "merge-adapter", "generate", "chat", "eval", "score", "classify", "tag", "answer", "embed", "fill", "template", "convert", "pull", "inspect", "conform", "runs"]
    static let folder = Places.package.appendingPathComponent("docs")

    let name: String
    private(set) var blocks: [Block] = []
    private(set) var commands: [String] = []

    init(name: String, text: String) {
        self.name = name
        var open: Block?
        for line in text.components(separatedBy: "\n") {
            if line.hasPrefix("```") {
                if let block = open { blocks.append(block) }
                let info = line.dropFirst(3)
                open = open == nil ? Block(language: String(info.prefix { $0 != " " }), title: info.firstMatch(of: /title="([^"]+)"/).map { String($0.1) }) : nil
            } else {
                open?.lines.append(line)
                let command = line.trimmingCharacters(in: .whitespaces)
                if ["autodidact ", ".build/release/autodidact "].contains(where: command.hasPrefix) { commands.append(command) }
            }
        }
    }

    init(_ name: String) throws {
        self.init(name: name, text: try String(contentsOf: Self.folder.appendingPathComponent(name), encoding: .utf8))
    }

    /// What it says that is not so.
    func complaints() -> [String] {
        var complaints: [String] = []
        for block in blocks where ["swift", "diff"].contains(block.language) {
            guard let title = block.title else { continue }
            guard let source = try? String(contentsOf: Places.package.appendingPathComponent(title), encoding: .utf8) else {
                complaints.append("\(name): there is no file \(title)")
                continue
            }
            let there = source.components(separatedBy: "\n")
            for piece in block.pieces where piece.isEmpty || !there.contains(piece) {
                let missing = piece.first { !there.contains($0) }.map { "; the first line that is not there is '\($0)'" }
                complaints.append("\(name): \(title) does not hold '\(piece.first ?? "")'\(missing ?? " with the lines that follow it here")")
            }
        }
        for command in commands where !Self.verbs.contains(command.components(separatedBy: " ")[1]) { complaints.append("\(name): no such command: \(command)") }
        return complaints
    }
}

@Suite("Guides")
struct GuideTextTests {
    static let guides = ["add-a-model-family.md", "add-a-recipe.md", "add-a-verifier.md"]

    @Test("what the documents show of a file stands in it, and their commands exist")
    func documents() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Document.folder.path).filter { $0.hasSuffix(".md") }.sorted()
        #expect(Set(Self.guides).isSubset(of: names))
        #expect(try names.flatMap { try Document($0).complaints() } == [])
    }

    @Test("README and CONTRIBUTING show commands that exist", arguments: ["README.md", "CONTRIBUTING.md"])
    func front(name: String) throws {
        let text = try String(contentsOf: Places.package.appendingPathComponent(name), encoding: .utf8)
        #expect(Document(name: name, text: text).complaints() == [])
    }

    @Test("every setting of a task is explained", arguments: TaskRegistry.builtIn.kinds.map(\.name))
    func settings(kind: String) throws {
        let text = try String(contentsOf: Document.folder.appendingPathComponent("tasks.md"), encoding: .utf8)
        let section = try #require(text.components(separatedBy: "\n## ").first { $0.hasPrefix("\(kind)\n") || $0.contains("\n| `\(kind)` |") })
        #expect(TaskRegistry.builtIn.keys(of: kind).filter { !section.contains("`\($0)`") } == [])
    }

    /// Settings with what recipes.md says they are when left out, by its sections.
    private static func recipeSettings() throws -> [String: [(name: String, value: String)]] {
        let text = try String(contentsOf: Document.folder.appendingPathComponent("recipes.md"), encoding: .utf8)
        let sections = text.components(separatedBy: "\n## ").dropFirst().map { section in
            (section.components(separatedBy: "\n")[0], section.matches(of: /(?m)^\| `([A-Za-z0-9.]+)` \| (.+?) \|/).map { (name: String($0.1), value: String($0.2)) })
        }
        return Dictionary(uniqueKeysWithValues: sections)
    }

    @Test("every setting of a recipe is explained, with what it is when left out", arguments: RecipeChoice.names)
    func settings(recipe: String) throws {
        let sections = try Self.recipeSettings(), own = try #require(sections[recipe]), shared = try #require(sections["sampling"]) + #require(sections["loop"])
        let choice = try #require(RecipeChoice(named: recipe)), names = try choice.settings()
        #expect(own.map(\.name).filter { !names.contains($0) } == [])
        for name in names {
            let said = try #require((own + shared).first { $0.name == name }, "\(recipe): \(name)")
            #expect(try choice.setting(name, to: said.value) == choice, "\(recipe): \(name)")
        }
    }

    @Test("every option of a run is explained, with what it is when left out")
    func options() throws {
        func names(_ value: Any, _ prefix: String) -> [String] {
            let mirror = Mirror(reflecting: value)
            guard mirror.displayStyle == .struct, !mirror.children.isEmpty else { return [prefix] }
            return mirror.children.flatMap { names($0.value, prefix.isEmpty ? $0.label! : "\(prefix).\($0.label!)") }
        }
        let plan = try RunPlan.defaults(model: "model", task: "addition", settings: [:], recipe: nil), said = try #require(Self.recipeSettings()["options"])
        #expect(Set(said.map(\.name)) == Set(names(plan.options, "")))
        for (name, value) in said where name != "adapter" {
            let yaml = name.split(separator: ".").reversed().reduce(value) { "{\($1): \($0)}" }
            #expect(try plan.overridden(byYAML: "options: \(yaml)", file: "recipes.md") == plan, "\(name)")
        }
    }

    @Test("a guide shows code that the tests run, no Swift without the file it is from, and commands", arguments: guides)
    func guide(name: String) throws {
        let guide = try Document(name)
        #expect(guide.blocks.contains { $0.language == "swift" && $0.title?.hasPrefix("Tests/GuidesTests/") == true })
        #expect(guide.blocks.filter { ["swift", "diff"].contains($0.language) && $0.title == nil }.map { $0.lines.first } == [])
        #expect(!guide.commands.isEmpty)
    }

    @Test("what is not so is named, with the document and the block's first line")
    func complaints() {
        let text = """
            ```swift title="Package.swift"
            import PackageDescription
            ```
            ```swift title="Package.swift"
            import PackageDescriptions
            ```
            ```diff title="Package.swift"
            @@ one that is there
             import PackageDescription
            +import Foundation
            @@ one that is not
            +import Foundation
             import Packages
            ```
            ```swift title="Nowhere.swift"
            ```
                autodidact learn
                autodidact forget --all
            """
        #expect(
            Document(name: "a.md", text: text).complaints() == [
                "a.md: Package.swift does not hold 'import PackageDescriptions'; the first line that is not there is 'import PackageDescriptions'",
                "a.md: Package.swift does not hold 'import Packages'; the first line that is not there is 'import Packages'",
                "a.md: there is no file Nowhere.swift",
                "a.md: no such command: autodidact forget --all",
            ])
    }
}
