import Foundation
import ModelFiles
import Tasks
import Testing

/// Published files as tasks read them. What upstream publishes is not here: it is made again from the files of the public data, which came from it.
@Suite("Published data, converted")
struct DataFileConversionTests {
    private func file(_ name: String) throws -> DataFile {
        let all = NamedTask.builtIn.flatMap(\.files) + (DataFile.files(of: "humaneval") ?? []) + (DataFile.files(of: "mbpp") ?? [])
        return try #require(all.first { $0.name == name })
    }

    /// A record as it is published.
    private static func published(_ name: String, _ record: JSONObject) -> JSON {
        func text(_ key: String) -> JSON { record[key] ?? "" }
        func number(_ key: String) -> JSON { .number(Double(record[key]?.string ?? "") ?? .nan) }
        let index = JSON.integer(Int64(record["id"]?.string?.split(separator: "-").last ?? "") ?? -1)
        switch name.dropLast(".jsonl".count) {
        case "gsm8k_train", "gsm8k_test": return ["question": text("question"), "answer": text("answer")]
        case "gsm8k_cot_fewshot": return ["question": text("question"), "target": text("rationale")]
        case "svamp":
            // Where the question proper begins is not told: before its last sentence.
            let whole = record["question"]?.string ?? "", end = whole.ranges(of: ". ").last
            let body = end.map { whole[...$0.lowerBound] } ?? "", rest = end.map { whole[$0.upperBound...] } ?? ""
            return ["ID": text("id"), "Body": .string(String(body.hasSuffix("..") ? body : body.dropLast())), "Question": .string(String(rest)), "Equation": text("equation"), "Answer": number("answer"), "Type": text("type")]
        case "addsub": return ["iIndex": index, "lEquations": [text("equation")], "lSolutions": [text("answer")], "sQuestion": .string("\(record["question"]?.string ?? "") ")]
        case "multiarith", "singleeq": return ["lEquations": [text("equation")], "lSolutions": [number("answer")], "sQuestion": text("question"), "iIndex": index]
        case "aqua_dev", "aqua_test":
            let options = (record["choices"]?.array ?? []).enumerated().map { JSON.string("\(["A", "B", "C", "D", "E"][$0]))\($1.string ?? "")") }
            return ["question": text("question"), "options": .array(options), "rationale": text("rationale"), "correct": text("answer")]
        case "csqa_train", "csqa_dev":
            let choices = (record["choices"]?.array ?? []).enumerated().map { ["label": .string(["A", "B", "C", "D", "E"][$0]), "text": $1] as JSON }
            return ["answerKey": text("answer"), "id": text("id"), "question": ["question_concept": text("concept"), "choices": .array(choices), "stem": text("question")]]
        case "strategyqa":
            let isYes = record["answer"] == "yes"
            return ["input": text("question"), "target_scores": ["Yes": isYes ? 1 : 0, "No": isYes ? 0 : 1], "target": .string("\(isYes ? "Yes" : "No"). \(record["rationale"]?.string ?? "")")]
        case "humaneval": return .object(JSONObject(record.members.map { ($0.key == "id" ? "task_id" : $0.key, $0.value) }))
        case "mbpp":
            return [
                "text": text("text"), "code": text("code"), "task_id": index, "test_setup_code": text("test_setup_code"), "test_list": text("test_list"),
                "challenge_test_list": text("challenge_test_list"),
            ]
        default: return ["question": text("question"), "answer": text("answer")]
        }
    }

    private static func published(_ name: String, _ records: [JSONObject]) -> Data {
        let records = records.map { published(name, $0) }
        switch name.dropLast(".jsonl".count) {
        case "svamp", "addsub", "multiarith", "singleeq": return Data(JSON.array(records).text(pretty: true).utf8)
        case "strategyqa", "last_letters", "coin_flip": return Data(JSON.object(JSONObject([("name", "x"), ("examples", .array(records))])).text().utf8)
        case "gsm8k_cot_fewshot": return Data(("tag:\n  - x\nfewshot_config: " + JSON.object(JSONObject([("sampler", "first_n"), ("samples", .array(records))])).text() + "\n").utf8)
        default: return Data(records.map { $0.text() + "\n" }.joined().utf8)
        }
    }

    static let names = [
        "gsm8k_train", "gsm8k_test", "gsm8k_cot_fewshot", "svamp", "addsub", "multiarith", "singleeq", "aqua_dev", "aqua_test", "csqa_train", "csqa_dev", "strategyqa", "last_letters", "coin_flip",
        "humaneval", "mbpp",
    ].map { "\($0).jsonl" }

    @Test("published records become the tested file, byte for byte", .enabled(if: names.allSatisfy { PublicData.has($0) }, NamedTaskTests.missing), arguments: names)
    func whole(name: String) throws {
        let ours = try Data(contentsOf: PublicData.file(name)), records = try JSONL.objects(path: PublicData.file(name).path).map(\.object)
        let file = try file(name), made = try file.converted(Self.published(name, records))
        #expect(file.isConvertible && made == ours, "\(made.count) bytes, not \(ours.count)")
    }

    @Test("what is packed is unpacked first, and numbers are written as people write them")
    func small() throws {
        // gzip of one HumanEval record, by Python 3.11.
        let packed = try #require(Data(base64Encoded: "H4sIAAAAAAACAz2MwQoCIRRF933F460UgpqtMMugjwhEnCfJOE/R50BE/14WdJfncO4TxbXVxgUN4LVvji+7S6czHgFLzVuRIRYKEJQ2Nx6cWOrDlhz5K8Ng3nHm6F2yLacuMfNQ8Fkl6ZVh+rVC7f/o7+RX5bUB1xpVAa80zDNM+Dq8AVG3meqYAAAA"))
        #expect(String(decoding: try file("humaneval.jsonl").converted(packed), as: UTF8.self) == #"{"id":"HumanEval/0","prompt":"def f():\n","entry_point":"f","canonical_solution":"    return 1\n","test":"def check(c): assert c() == 1"}"# + "\n")
        let sums = #"[{"iIndex": 4, "lEquations": ["X = 5.20 + 4.23"], "lSolutions": [9.43], "sQuestion": " a? "}, {"iIndex": 5, "lEquations": ["x"], "lSolutions": ["12"], "sQuestion": "b"}]"#
        #expect(
            String(decoding: try file("addsub.jsonl").converted(Data(sums.utf8)), as: UTF8.self)
                == #"{"id":"addsub-4","question":"a?","answer":"9.43","equation":"X = 5.20 + 4.23"}"# + "\n" + #"{"id":"addsub-5","question":"b","answer":"12","equation":"x"}"# + "\n")
        let flips = #"{"examples": [{"question": "Ann flips the coin. Bo does not flip the coin.", "answer": "yes"}]}"#
        #expect(String(decoding: try file("coin_flip.jsonl").converted(Data(flips.utf8)), as: UTF8.self).hasSuffix(#""consistent":false}"# + "\n"))
    }

    @Test("a file that upstream has changed is refused with the record and the field", arguments: [
        ("gsm8k_test.jsonl", #"{"question": "a"}"#, "record 1 has no text 'answer'"), ("svamp.jsonl", #"{"a": 1}"#, "no list of records"), ("svamp.jsonl", "<html>", "<html>"),
        ("coin_flip.jsonl", #"{"items": []}"#, "no list of records"), ("multiarith.jsonl", #"[{"iIndex": 0, "sQuestion": "a", "lSolutions": ["two"], "lEquations": ["x"]}]"#, "no number 'lSolutions'"),
        ("mbpp.jsonl", #"{"task_id": 1, "text": "a", "code": "def f(): pass", "test_setup_code": "", "test_list": ["assert g()"], "challenge_test_list": []}"#, "calls no function"),
        ("gsm8k_cot_fewshot.jsonl", "task: x\n", "no 'fewshot_config.samples'"), ("star_fewshot.jsonl", "{}", "takes more than this file"),
    ])
    func refused(name: String, content: String, message: String) throws {
        let file = try file(name)
        do {
            let made = try file.converted(Data(content.utf8))
            Issue.record("became \(made.count) bytes")
        } catch {
            #expect("\(error)".contains(message) || content == message, "\(error)")
        }
    }

    @Test("every task says what it needs, and an error for a missing file names the command that fetches it")
    func missing() throws {
        #expect(DataFile.files(of: "gsm8k")?.map(\.name) == ["gsm8k_train.jsonl", "gsm8k_test.jsonl"] && DataFile.files(of: "addition") == nil)
        #expect(try file("sst2_train.jsonl").isConvertible == false)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        func error(_ task: String) -> String {
            do { return "\(try TaskRegistry.builtIn.environment(named: task, settings: ["data-dir": folder]))" } catch { return "\(error)" }
        }
        #expect(error("svamp").contains("'autodidact pull --data svamp --data-dir \(folder)'") && error("mbpp").contains("'autodidact pull --data mbpp --data-dir \(folder)'") && !error("sst2").contains("autodidact pull"))
    }
}
