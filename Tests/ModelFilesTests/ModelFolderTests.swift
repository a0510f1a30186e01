import Foundation
import ModelFiles
import Testing

@Suite("A model folder says which piece is missing")
struct ModelFolderTests {
    @Test("a path that is neither a folder nor a GGUF file is refused")
    func wrongPath() throws {
        try withTemporaryFolder { folder in
            let nothing = ownError { _ = try ModelFolder(folder + "/nothing") }
            #expect(nothing?.contains("does not exist") == true)
            try write("x", to: folder + "/notes.txt")
            let notes = ownError { _ = try ModelFolder(folder + "/notes.txt") }
            #expect(notes?.contains("neither a folder") == true)
        }
    }

    @Test("what is missing is named with advice")
    func missing() throws {
        try withTemporaryFolder { folder in
            let model = try ModelFolder(folder)
            let messages = [
                ownError { _ = try model.weights() }, ownError { _ = try model.config() },
                ownError { _ = try model.tokenizer() },
            ]
            for (message, part) in zip(messages, ["holds no weights", "config.json", "tokenizer.json"]) {
                #expect(message?.contains(part) == true)
            }
            let optional = [try model.tokenizerConfig()?.count, try model.generationConfig()?.count]
            #expect(optional == [nil, nil])
            let template = try model.chatTemplate()
            #expect(template == nil)
            try write("[]", to: folder + "/config.json")
            let array = ownError { _ = try model.config() }
            #expect(array?.contains("an array") == true)
        }
    }

    @Test("a folder with nothing but a pickle is refused by name, with advice")
    func pickle() throws {
        try withTemporaryFolder { folder in
            try write("x", to: folder + "/pytorch_model.bin")
            let message = ownError { _ = try ModelFolder(folder).openWeights() }
            #expect(message?.contains("'pytorch_model.bin'") == true)
            #expect(message?.contains("safetensors") == true)
        }
    }

    @Test("safetensors come before an index, an index before GGUF, and two GGUF files are one too many")
    func precedence() throws {
        try withTemporaryFolder { folder in
            let model = try ModelFolder(folder)
            try write("x", to: folder + "/a.gguf")
            #expect(try model.weights() == .gguf(path: folder + "/a.gguf"))
            #expect(try ModelFolder(folder + "/a.gguf").weights() == .gguf(path: folder + "/a.gguf"))
            try write("x", to: folder + "/b.gguf")
            #expect(ownError { _ = try model.weights() }?.contains("a.gguf, b.gguf") == true)
            try write("{}", to: folder + "/model.safetensors.index.json")
            #expect(try model.weights() == .sharded(indexPath: folder + "/model.safetensors.index.json"))
            try write("x", to: folder + "/model.safetensors")
            #expect(try model.weights() == .safetensors(path: folder + "/model.safetensors"))
        }
    }

    @Test("the chat template is a file of its own, or a field, alone or by name")
    func chatTemplates() throws {
        try withTemporaryFolder { folder in
            let model = try ModelFolder(folder)
            let config = folder + "/tokenizer_config.json"
            try write(#"{"chat_template":"A"}"#, to: config)
            #expect(try model.chatTemplate() == "A")
            try write(#"{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}"#, to: config)
            #expect(try model.chatTemplate() == "D")
            try write(#"{"chat_template":[]}"#, to: config)
            #expect(ownError { _ = try model.chatTemplate() } != nil)
            try write("J", to: folder + "/chat_template.jinja")
            #expect(try model.chatTemplate() == "J")
        }
    }

    @Test("a missing file, a folder and an empty file are told apart")
    func mapping() throws {
        try withTemporaryFolder { folder in
            #expect(ownError { _ = try MappedFile(path: folder + "/none") }?.contains("No such file") == true)
            #expect(ownError { _ = try MappedFile(path: folder) }?.contains("is a folder") == true)
            try write("", to: folder + "/empty")
            #expect(try MappedFile(path: folder + "/empty").bytes.isEmpty)
            try write("abc", to: folder + "/abc")
            let file = try MappedFile(path: folder + "/abc")
            let bytes = withExtendedLifetime(file) { Array(file.bytes) }
            #expect(bytes == Array("abc".utf8))
        }
    }
}

@Suite("Configuration fields are checked, and none is passed over in silence")
struct ConfigFieldsTests {
    func fields(_ text: String) throws -> ConfigFields {
        ConfigFields(try #require(try JSON.parse(text, source: "config.json").object), file: "config.json")
    }

    @Test("values of the right kind and range are read")
    func reads() throws {
        let config = try fields(
            #"{"n":64,"eps":1e-5,"whole":2,"tied":true,"act":"silu","sizes":[1,2],"rope":{"factor":8.0},"none":null}"#)
        #expect(try config.int("n", range: 1...100) == 64)
        #expect(try config.double("eps", range: .positive) == 1e-5)
        #expect(try config.double("whole") == 2)
        #expect(try config.bool("tied"))
        #expect(try config.string("act", oneOf: ["gelu", "silu"]) == "silu")
        #expect(try config.ints("sizes", range: 0...9) == [1, 2])
        #expect(try config.fields("rope").double("factor") == 8)
        #expect(try config.optionalInt("none", range: 1...2) == nil)
        #expect(try config.optionalInt("absent", range: 1...2) == nil)
        try config.refuseUnread()
    }

    @Test(
        "a wrong value is answered with field, value and what is permitted",
        arguments: [#""64""#, "64.5", "64.0", "0", "101", "-1", "true", "[64]"])
    func wrong(value: String) throws {
        let message = ownError { _ = try fields(#"{"hidden_size":\#(value)}"#).int("hidden_size", range: 1...100) }
        for part in ["config.json", "hidden_size", "from 1 to 100", value] { #expect(message?.contains(part) == true) }
    }

    @Test("a missing field names its nearest neighbour")
    func missing() throws {
        let message = ownError { _ = try fields(#"{"hiden_size":1}"#).int("hidden_size", range: 1...9) }
        #expect(message?.contains("'hidden_size' is missing; the nearest name is 'hiden_size'") == true)
        let choice = ownError { _ = try fields(#"{"act":"sliu"}"#).string("act", oneOf: ["gelu", "silu"]) }
        #expect(choice?.contains("the nearest is 'silu'") == true)
    }

    @Test("unread fields are refused by name, but for harmless and null ones")
    func unread() throws {
        let config = try fields(#"{"a":1,"b":2,"torch_dtype":"float32","c":null,"d":{"e":1}}"#)
        _ = try config.int("a", range: 1...1)
        #expect(config.unread == ["b", "torch_dtype", "d"])
        let message = ownError { try config.refuseUnread(except: ["torch_dtype", "d"]) }
        #expect(message?.contains("'b' (2)") == true && message?.contains("torch_dtype") == false)
        let nested = ownError { try config.fields("d").refuseUnread() }
        #expect(nested?.contains("'d.e'") == true)
    }
}

@Suite("JSONL files are read line by line")
struct JSONLTests {
    @Test("blank lines and carriage returns are passed over, and lines keep their numbers")
    func reads() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/data.jsonl"
            try write("{\"a\":1}\r\n\n  \n{\"a\":2}", to: path)
            let objects = try JSONL.objects(path: path)
            #expect(objects.map(\.line) == [1, 4])
            #expect(objects.map { $0.object["a"]?.int } == [1, 2])
        }
    }

    @Test("an error names the line, and an empty file is an error")
    func errors() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/data.jsonl"
            try write("{\"a\":1}\n{\"a\":}\n", to: path)
            #expect(ownError { _ = try JSONL.objects(path: path) }?.contains("line 2, column 6") == true)
            try write("{\"a\":1}\n[]\n", to: path)
            #expect(ownError { _ = try JSONL.objects(path: path) }?.contains("line 2") == true)
            for text in ["", "\n\n \n"] {
                try write(text, to: path)
                #expect(ownError { _ = try JSONL.objects(path: path) }?.contains("holds no examples") == true)
            }
        }
    }
}
