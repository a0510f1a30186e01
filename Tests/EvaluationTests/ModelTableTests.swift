import Architectures
import Foundation
import ModelFiles
import Testing

@Suite("The table of models")
struct ModelTableTests {
    /// What docs/models.md must say of a family.
    private func row(_ family: FamilySupport) -> String {
        let use =
            switch family.kind {
            case .generative: "generate, chat, score, classify, embed"
            case .masked: "fill, score, classify, embed"
            case .encoderDecoder: "generate, classify"
            }
        let heads = family.heads.map { $0 == .sequenceClassification ? "sequence" : $0 == .tokenClassification ? "token" : "span" }.joined(separator: ", ")
        return "| \(family.name) | `\(family.modelType)` | yes | \(family.gguf.map { "`\($0)`" } ?? "–") | all weights, LoRA | \(use) | \(heads.isEmpty ? "–" : heads) |"
    }

    @Test("docs/models.md has one true line for each family")
    func table() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs/models.md")
        let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n").map { String($0) }
        let rows = FamilySupport.all.map(row)
        #expect(lines.filter { $0.contains("| yes |") } == rows, "expected:\n\(rows.joined(separator: "\n"))")
    }

    @Test("every family has a golden model", .enabled(if: !Fixtures.folders("models").isEmpty, "no model fixtures: set AUTODIDACT_FIXTURES"))
    func golden() throws {
        let types = try Fixtures.folders("models").map { try JSON.read(path: "\(Fixtures.root)/models/\($0)/config.json")["model_type"]?.string ?? "" }
        #expect(Set(types) == Set(FamilySupport.all.map(\.modelType)))
    }
}
