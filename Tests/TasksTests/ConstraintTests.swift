import Sampling
import Tasks
import Testing

@Suite("Constraints")
struct ConstraintTests {
    static let cases: [(Constraint, right: String, wrong: String)] = [
        (.atMostWords(count: 5), "Plants need light and water.", "All plants need some light and some water."),
        (.lowercase, "plants need light, and 2 cups of water.", "plants need Light and water."),
        (.lowercase, "école été là-bas", "École été là-bas"),
        (.contains(word: "river"), "The River flows to the sea.", "The riverbank is near the sea."),
        (.contains(word: "river"), "The river's bed lies very low.", "The sea is wide and blue."),
        (.endsWith(phrase: "That is all."), "Plants need light and water. That is all.", "Plants need light and water. That is all. Bye"),
        (.endsWith(phrase: "That is all."), "plants need light and water. that is all.\n", "Plants need light and water."),
        (.json(keys: ["answer"]), #"{"answer": "Paris"}"#, #"{"reply": "Paris"}"#),
        (.json(keys: ["answer"]), "```json\n{\"answer\": 4}\n```", #"Here: {"answer": 4}"#),
        (.json(keys: ["title", "text"]), #"{"text": ["a"], "title": {"x": true}}"#, #"{"title": "a", "text": "b", "more": "c"}"#),
        (.json(keys: ["title", "text"]), #"{"title": "a", "text": "b"}"#, #"{"title": "a"}"#),
        (.json(keys: ["answer"]), #"{"answer": false}"#, #"{"answer": "Paris",}"#),
        (.bullets(count: 2), "- plants need light\n- plants need water", "- plants need light\n- plants need water\n- and more"),
        (.bullets(count: 2), "What they need:\n\n* light\n* some water", "What they need: light and some water"),
        (.bullets(count: 2), "- light\n  • clean water and air", "- plants need light\n- "),
        (.noCommas, "Plants need light and water.", "Plants need light, and water."),
        (.startsWith(phrase: "In short:"), "In short: plants need light.", "Well, in short: plants need light."),
        (.startsWith(phrase: "In short:"), "\"in short: plants need light.\"", "Plants need light, in short"),
        (
            .all([.lowercase, .noCommas]), "plants need light and water", "plants need light, and water"
        ),
        (
            .all([.startsWith(phrase: "In short:"), .endsWith(phrase: "The end.")]), "In short: plants need light. The end.",
            "In short: plants need light."
        ),
        (.all([.contains(word: "river"), .json(keys: ["answer"])]), #"{"answer": "a river"}"#, #"{"answer": "a lake"}"#),
        (.all([.atMostWords(count: 8), .bullets(count: 2)]), "- light\n- water and air", "- light\n- water and air and soil and love"),
    ]

    @Test("every demonstration meets its demand, whatever the pool makes", arguments: [true, false])
    func demonstrations(isSeen: Bool) {
        var generator = SeededGenerator(seed: 5, label: "demonstrations")
        for _ in 0..<4000 {
            let constraint = (isSeen ? ConstraintPool.seen : .unseen).constraint(withWords: !isSeen, using: &generator)
            let (isMet, evidence) = constraint.check(constraint.demonstration)
            #expect(isMet, "\(constraint): \(evidence)")
        }
    }

    @Test("each kind has a text that meets it and one that does not", arguments: cases.indices)
    func rightAndWrong(index: Int) {
        let (constraint, right, wrong) = Self.cases[index]
        let (isMet, evidence) = constraint.check(right)
        #expect(isMet, "\(constraint): \(evidence)")
        #expect(!constraint.check(wrong).isMet, "\(constraint)")
        #expect(!constraint.check(wrong).evidence.isEmpty)
    }

    @Test("the cases cover every kind")
    func coverage() {
        let kinds = Set(Self.cases.map(\.0.kind))
        #expect(Constraint.Kind.allCases.allSatisfy(kinds.contains))
    }

    @Test(
        "answers that say nothing fail",
        arguments: [
            (Constraint.atMostWords(count: 20), "Yes."), (.noCommas, ""), (.noCommas, "  \n"), (.lowercase, "ok"), (.lowercase, "1 2 3 4"),
            (.noCommas, "word word word word word"), (.contains(word: "river"), "river"), (.contains(word: "river"), "river river river a b"),
            (.endsWith(phrase: "That is all."), "That is all."), (.endsWith(phrase: "That is all."), "So: that is all."),
            (.startsWith(phrase: "In my view"), "In my view"),
            (.all([.startsWith(phrase: "In short:"), .endsWith(phrase: "The end.")]), "In short: the end."),
            (.json(keys: ["answer"]), "{}"), (.json(keys: ["answer"]), #"{"answer": ""}"#), (.json(keys: ["answer"]), #"{"answer": null}"#),
            (.json(keys: ["answer"]), #"{"answer": [" ", {}]}"#), (.json(keys: ["answer"]), #"["answer"]"#), (.bullets(count: 2), "- a\n- b"),
            (.noCommas, "!!! ... ???"),
        ])
    func vacuous(constraint: Constraint, text: String) {
        let (isMet, evidence) = constraint.check(text)
        #expect(!isMet, "\(constraint) was met by '\(text)'")
        #expect(!evidence.isEmpty)
    }

    @Test("evidence says what was counted")
    func evidence() {
        #expect(Constraint.atMostWords(count: 3).check("one two three four").evidence == "4 words, at most 3 asked")
        #expect(Constraint.bullets(count: 3).check("- one\n- two three").evidence == "2 bullets, exactly 3 asked")
        #expect(Constraint.all([.noCommas, .lowercase]).check("One, two").evidence == "1 commas, none allowed; 'One,' is not lowercase")
    }

    @Test("a constraint survives being written into details")
    func roundTrip() throws {
        for (constraint, _, _) in Self.cases {
            let text = try constraint.encoded()
            #expect(try Constraint(encoded: text) == constraint)
            #expect(try constraint.encoded() == text)
        }
        #expect(try Constraint.contains(word: "a/b").encoded() == #"{"contains":{"word":"a/b"}}"#)
    }

    @Test("every phrasing names the numbers and words")
    func phrasings() {
        for phrasing in -1...Constraint.phrasings {
            #expect(Constraint.atMostWords(count: 25).instruction(phrasing: phrasing).contains("25"))
            #expect(Constraint.contains(word: "river").instruction(phrasing: phrasing).contains("\"river\""))
            #expect(Constraint.endsWith(phrase: "The end.").instruction(phrasing: phrasing).contains("\"The end.\""))
            #expect(Constraint.json(keys: ["a", "b"]).instruction(phrasing: phrasing).contains("\"a\", \"b\""))
            #expect(Constraint.bullets(count: 4).instruction(phrasing: phrasing).contains("4"))
        }
        #expect(Set((0..<Constraint.phrasings).map { Constraint.noCommas.instruction(phrasing: $0) }).count == Constraint.phrasings)
    }

    @Test("no word or phrase of training is among the unseen ones, and none holds a comma")
    func pools() {
        let (seen, unseen) = (ConstraintPool.seen, ConstraintPool.unseen)
        #expect(Set(seen.words).isDisjoint(with: unseen.words))
        #expect(Set(seen.endings).isDisjoint(with: unseen.endings))
        #expect(Set(seen.openings).isDisjoint(with: unseen.openings))
        #expect(Set(seen.keys.flatMap { $0 }).isDisjoint(with: unseen.keys.flatMap { $0 }))
        for phrase in seen.words + seen.endings + seen.openings + unseen.words + unseen.endings + unseen.openings {
            #expect(!phrase.contains(",") && !phrase.isEmpty)
        }
    }

    @Test("constraints that are drawn can be met: an answer exists for each", arguments: [false, true])
    func feasible(isSeen: Bool) {
        var generator = SeededGenerator(seed: 3, label: "test")
        for _ in 0..<2000 {
            let constraint = (isSeen ? ConstraintPool.seen : .unseen).constraint(withWords: !isSeen, using: &generator)
            let (isMet, evidence) = constraint.check(Self.answer(to: constraint))
            #expect(isMet, "\(constraint): \(evidence)")
            if !isSeen { #expect(constraint.parts.contains { $0.kind.hasWords }) }
        }
    }

    /// Writes an answer that meets the demands.
    static func answer(to constraint: Constraint) -> String {
        var (opening, ending, word, lines, lower) = ("", "", "", 0, false)
        var keys: [String] = []
        for part in constraint.parts {
            switch part {
            case .startsWith(let phrase): opening = phrase + "\n"
            case .endsWith(let phrase): ending = " " + phrase
            case .contains(let wanted): word = " " + wanted
            case .bullets(let count): lines = count
            case .lowercase: lower = true
            case .json(let wanted): keys = wanted
            case .atMostWords, .noCommas, .all: break
            }
        }
        var text = "plants need light\(word)"
        if lines > 0 { text = (0..<lines).map { $0 == 0 ? "- \(text)" : "- more" }.joined(separator: "\n") }
        text = opening + text + ending
        if !keys.isEmpty { text = "{" + keys.map { "\"\($0)\": \"light\(word)\"" }.joined(separator: ", ") + "}" }
        return lower ? text.lowercased() : text
    }

    @Test("the verifier reads the constraint from the details")
    func verifier() async throws {
        var problem = Problem(id: "q", question: "Why?", category: "no-commas", details: ["constraint": try Constraint.noCommas.encoded()])
        let verifier = ConstraintVerifier()
        #expect(try await verdict(verifier, problem, "Plants need light.").outcome == .right)
        #expect(try await verdict(verifier, problem, "Plants, trees and grass.").outcome == .wrong)
        #expect(try await verdict(verifier, problem, "Plants need light.", finish: .length).outcome == .cutOff)
        problem.details = ["constraint": "{}"]
        let judgements = await verifier.judge([rollout(problem, "Plants need light.")])
        #expect(judgements == [.failed(reason: "problem 'q' has no readable constraint in its details")])
    }
}
