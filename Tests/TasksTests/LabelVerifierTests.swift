import Foundation
import Sampling
import Tasks
import Testing

@Suite("Labels")
struct LabelVerifierTests {
    private let yesNo = LabelVerifier(["yes", "no"])
    private let sentiment = LabelVerifier(["negative", "positive"], verbalizers: ["positive": ["great", "very good"], "negative": ["terrible"]])

    private func problem(_ answer: String?) -> Problem { Problem(id: "q", question: "?", answer: answer) }

    @Test(
        "a label is read from the statement, the beginning or the only mention",
        arguments: [
            ("yes", "yes"), ("Yes — there is no lower limit.", "yes"), ("Yes (they do)\nThere is no other way.", "yes"), ("Yes - no doubt.", "yes"), (" Yes.", "yes"), ("NO", "no"), ("Yes, because there is no other way.", "yes"), ("There is no other way. So the answer is yes.", "yes"),
            ("The answer is yes. No more.", "yes"),
            ("Answer: no", "no"), ("The answer is yes.\nWait. The answer is no.", "no"), ("I would say\nyes", "yes"), ("It has no end.\nYes", "yes"),
            ("**Answer:** No", "no"),
        ])
    func yesOrNo(text: String, label: String) async throws {
        #expect(try await verdict(yesNo, problem(label), text).outcome == .right)
        #expect(try await verdict(yesNo, problem(label == "yes" ? "no" : "yes"), text).outcome == .wrong)
    }

    @Test(
        "verbalizers say a label",
        arguments: [
            ("great", "positive"), ("It is very good", "positive"), ("terrible!", "negative"),
            ("a terrible, terrible film", "negative"), ("Positive", "positive"),
        ])
    func verbalizers(text: String, label: String) async throws {
        #expect(try await verdict(sentiment, problem(label), text).outcome == .right)
    }

    @Test(
        "no label, two of them, or a denied one is unreadable",
        arguments: [
            "", "maybe", "positive or negative", "neither positive nor negative", "not positive", "It isn't great", "negatively", "very", "positivenegative",
            "The answer is negative or great",
        ])
    func unreadable(text: String) async throws {
        #expect(try await verdict(sentiment, problem("positive"), text).outcome == .unreadable)
    }

    @Test("a longer label is not also the shorter one in it")
    func nested() async throws {
        let verifier = LabelVerifier(["entailment", "not entailment"])
        #expect(try await verdict(verifier, problem("not entailment"), "I think this is not entailment here").outcome == .right)
        #expect(try await verdict(verifier, problem("entailment"), "I think this is entailment here").outcome == .right)
    }

    @Test("labels that a text could not tell apart are refused", arguments: [
        (["yes"], "two or more"), ([], "two or more"), (["yes", "Yes"], "'yes' and 'Yes'"), (["-1", "0", "1"], "'-1' and '1'"), (["C", "C++"], "'C' and 'C++'"), (["1", "1.5", "2"], "'1' and '1.5'"),
        (["+", "-"], "neither letters nor digits"),
    ])
    func indistinct(labels: [String], words: String) throws {
        #expect(LabelVerifier.problem(with: labels)?.contains(words) == true)
        let file = try TaskFile(yaml: "type: jsonl\nname: t\ndata: none.jsonl\nlabels: [\(labels.map { "'\($0)'" }.joined(separator: ", "))]", folder: URL(fileURLWithPath: "/"))
        #expect(taskError { _ = try TaskRegistry.builtIn.environment(file) }.contains(words))
    }

    @Test("labels that differ in words are not", arguments: [["negative", "positive"], ["entailment", "not entailment"], ["0", "1", "2"], ["v1.0", "v2.0"], ["St. Louis", "Paris"], ["U.S.", "U.K."], ["St. Louis", "St. Paul", "Paris"]])
    func distinct(labels: [String]) { #expect(LabelVerifier.problem(with: labels) == nil) }

    @Test("a label of marks is read by its words")
    func marks() async throws {
        let verifier = LabelVerifier(["+", "-"], verbalizers: ["+": ["plus"], "-": ["minus"]])
        #expect(try await verdict(verifier, problem("+"), "It is plus.").outcome == .right)
        #expect(LabelVerifier.problem(with: ["a", "b"], ["a": ["b"]]) != nil)
    }

    @Test("cut off is cut off, and a gold answer that is no label is not judged; evidence names both")
    func others() async throws {
        #expect(try await verdict(yesNo, problem("yes"), "yes", finish: .length).outcome == .cutOff)
        #expect(try await verdict(yesNo, problem("yes"), "no").evidence == "read no, expected yes")
        for answer in [nil, "1", "Yes"] {
            #expect(
                await yesNo.judge([
                    rollout(
                        problem(answer),
                        "yes")
                ]) == [.failed(reason: "problem 'q' has none of the labels yes, no as its answer")])
        }
        #expect(try await verdict(yesNo, problem("yes"), String(repeating: "yes no ", count: 20000)).outcome == .unreadable)
    }
}
