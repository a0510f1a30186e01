import Foundation
import Recipes
import Tasks
import Testing

@Suite("Recipe files that come with the package")
struct PackagedRecipeTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    static let files = ["recipes", "examples"].flatMap { name in
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(name).path)) ?? []).filter { $0.hasSuffix(".yaml") }.sorted().map { "\(name)/\($0)" }
    }
    static let data = ProcessInfo.processInfo.environment["AUTODIDACT_DATA"]

    private func plan(_ file: String, settings: [String: String] = [:]) throws -> RunPlan {
        try RunPlan.reading(
            String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8), file: file, model: "a model", task: nil, recipe: nil, settings: settings)
    }

    @Test("each is read, is within every range, and comes back from the recipe.yaml of its run", arguments: files)
    func reads(file: String) throws {
        let plan = try plan(file)
        #expect(try RunPlan(yaml: plan.yaml(), file: file) == plan)
        // Its own first lines say how to run it.
        let text = try String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8)
        #expect(text.hasPrefix("# ") && text.contains("--config \(file)"))
    }

    @Test("every recipe that can be named has one, apart from those shown elsewhere")
    func complete() throws {
        let shown = try Set(Self.files.map { try plan($0).recipe.name })
        #expect(Set(RecipeChoice.names).subtracting(shown) == [])
    }

    @Test("each finds its task in the public data, with problems to learn from", .enabled(if: data != nil, "no public data: set AUTODIDACT_DATA"), arguments: files)
    func plans(file: String) throws {
        let data = try #require(Self.data), task = try plan(file).task
        var plan = try plan(file)
        if task == "instructions" { plan.taskSettings["data"] = "\(data)/alpaca.jsonl" } else if task == "jsonl" { plan.taskSettings["data"] = "\(data)/addsub.jsonl" } else if task != "addition" { plan.taskSettings["data-dir"] = data }
        try plan.checkTask()
        #expect(plan.recipe.chosen.workload(problems: try plan.environments()[0].problems(in: .train).count).iterations >= 1)
    }
}
