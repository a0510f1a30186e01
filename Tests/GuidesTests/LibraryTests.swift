import Autodidact
import Foundation
import Testing

@Suite("The library as README shows it")
struct LibraryTests {
    @Test("a saved model continues a text")
    func continues() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let model = try Model.forAddition(FreshDecoder(), key: RandomKey(seed: 1), on: CPUBackend())
        try model.save(to: folder.path)
        let text = try continuation(of: "1 2 + 3 4", by: folder.path)
        #expect(try !model.encode(text).isEmpty)
        #expect(throws: FileError.self) { try continuation(of: "1 2 + 3 4", by: folder.path + "/nowhere") }
    }
}
