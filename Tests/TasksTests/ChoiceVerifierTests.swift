import Sampling
import Tasks
import Testing

@Suite("Multiple choice")
struct ChoiceVerifierTests {
    private func problem(_ texts: [String], _ answer: String?) throws -> Problem {
        Problem(id: "q", question: "?", answer: answer, details: ["choices": try #require(Choices(texts)).encoded])
    }
    private static let places = ["park", "car park", "the desk drawer", "blotter", "a dog"]

    @Test(
        "the choice is read from its letter or its text",
        arguments: [
            ("(B)", "b"), ("(b)", "b"), (" (e).", "e"), ("B", "b"), ("b", "b"), ("B.", "b"), ("B) car park", "b"), ("B: car park", "b"), ("[c]", "c"),
            ("C, because it is one.", "c"),
            ("answer is B", "b"), ("The answer is B because it is.", "b"), ("The answer is (B), not (C).\nReally: the answer is (D).", "d"), ("Answer: B", "b"),
            ("**Answer:** B", "b"), ("**B**", "b"), ("Answer:\n\nD. blotter", "d"), ("Final answer is option D.", "d"), ("the answer is choice (d)", "d"),
            (#"The answer is $\boxed{D}$."#, "d"), (#"The answer is \boxed{\text{D}}."#, "d"), ("A dog would not fit.\nTherefore, the answer is blotter (d).", "d"),
            ("The answer is (d). Option (c) is too small.", "d"), ("The answer is (B), not (C).", "b"),
            ("A) It is too small.\nB) It fits.\nC) It is too big.\nTherefore, the correct option is B.", "b"), ("(a) no\n(b) yes\nSo it is (b).", "b"), ("A. no\nB. yes\nThe best choice is (B).", "b"),
            ("The answer is B. C is wrong.", "b"), ("blotter", "d"), ("Blotter.", "d"), ("the answer is a blotter, which takes up ink", "d"), ("desk drawer", "c"),
            ("I think of a car.\nThe answer is car park.", "b"), ("The answer is the one called park", "a"), ("B. Cars stand there.\nThat is all there is to say", "b"),
            ("A", "a"), ("The answer is A.", "a"),
            ("The answer is a dog", "e"), ("The answer is A dog", "e"), ("the Answer must be: E", "e"),
        ])
    func read(text: String, letter: String) async throws {
        let problem = try problem(Self.places, letter)
        let found = try await verdict(ChoiceVerifier(), problem, text)
        #expect(found.outcome == .right && found.reward == 1, "\(found.evidence)")
        let other = try await verdict(ChoiceVerifier(), self.problem(Self.places, letter == "a" ? "b" : "A"), text)
        #expect(other.outcome == .wrong && other.reward == 0, "\(other.evidence)")
    }

    @Test(
        "what chooses nothing, or two options, is unreadable",
        arguments: [
            "", "\n \n", "(f)", "F", "The answer is 7.", "I cannot say", "a b c d e", "(a) (b)", "The answer is (a) or (b).", "B or C", "B, C", "The answer is B/C",
            "The answer is not blotter.", "The answer is not (d).", "It isn't blotter (d)",
            "The answer is a park or a blotter", "A: (e).", "(B)\n(C)", "It is in the park, I think, or by the blotter", "the answer issue", "B and D", "the answers: none",
            "The answer is park or car park", "A) It is too small.\nB) It fits.\nC) It is too big.", "A) too small\nB) fits\nTherefore, B it is.",
        ])
    func unreadable(text: String) async throws {
        let found = try await verdict(ChoiceVerifier(), try problem(Self.places, "b"), text)
        #expect(found.outcome == .unreadable && found.reward == 0, "\(found.evidence)")
    }

    @Test("a lone I is a word, and with nine options also a letter")
    func i() async throws {
        let nine = (1...9).map { "\($0 * 11)" }
        for text in ["I don't know.", "I would guess."] { #expect(try await verdict(ChoiceVerifier(), try problem(nine, "i"), text).outcome == .unreadable, "\(text)") }
        for text in ["I", "(i)", "I.", "The answer is I"] { #expect(try await verdict(ChoiceVerifier(), try problem(nine, "i"), text).outcome == .right, "\(text)") }
        #expect(try await verdict(ChoiceVerifier(), try problem(nine, "c"), "I think it is (c).").outcome == .right)
    }

    @Test("an option's own text is that option, also where it begins as with a letter", arguments: [
        ("The answer is B cells", "a"), ("T cells.", "b"), ("so:\nNK cells", "c"), ("E. coli", "d"), ("The answer is **E. coli**.", "d"), ("B", "b"), ("B. T cells", "b"), ("D minor", "e"),
    ])
    func letters(text: String, letter: String) async throws {
        let cells = ["B cells", "T cells", "NK cells", "E. coli", "D minor"]
        #expect(try await verdict(ChoiceVerifier(), problem(cells, letter), text).outcome == .right)
    }

    @Test("a letter alone is one, also beside options that are hardly more", arguments: [("The answer is (C).", "c"), ("C", "c"), ("(b)", "b"), ("The answer is C#", "a")])
    func lone(text: String, letter: String) async throws {
        let found = try await verdict(ChoiceVerifier(), problem(["C#", "'a'", "Go", "'b'"], letter), text)
        #expect(found.outcome == .right, "\(found.evidence)")
    }

    @Test("equal options cannot be told apart by their text, but by their letter")
    func equal() async throws {
        let twice = try problem(["ink", "ink", "pen"], "b")
        #expect(try await verdict(ChoiceVerifier(), twice, "The answer is ink").outcome == .unreadable)
        #expect(try await verdict(ChoiceVerifier(), twice, "The answer is ink (b)").outcome == .right)
        #expect(try await verdict(ChoiceVerifier(), try problem(["60", "6", "600"], "6"), "The answer is 6").outcome == .right)
        #expect(try await verdict(ChoiceVerifier(), try problem(["60 %", "-60 %", "600 %"], "b"), "The answer is -60 %.").outcome == .right)
    }

    @Test("evidence names both; cut off is cut off; a problem without options is not judged")
    func others() async throws {
        let problem = try problem(Self.places, "d")
        #expect(try await verdict(ChoiceVerifier(), problem, "(b)").evidence == "read (b) car park, expected (d)")
        #expect(try await verdict(ChoiceVerifier(), problem, "(b) or (c)").evidence == "chooses (b) and (c), expected (d)")
        #expect(try await verdict(ChoiceVerifier(), problem, "(d)", finish: .length).outcome == .cutOff)
        for bad in [
            Problem(id: "q", question: "?", answer: "a"), try self.problem(Self.places, nil), try self.problem(Self.places, "z"),
            Problem(id: "q", question: "?", answer: "a", details: ["choices": "[1, 2]"]),
        ] {
            #expect(await ChoiceVerifier().judge([rollout(bad, "(a)")]) == [.failed(reason: "problem 'q' has no options with the right one among them")])
        }
    }

    @Test("a long text of nothing but openings is read to its end")
    func hostile() async throws {
        for piece in ["answer ", "answer is ", "(", "(a", "\n", "ａnswer: Ⓑ "] {
            #expect(try await verdict(ChoiceVerifier(), try problem(Self.places, "b"), String(repeating: piece, count: 20000)).outcome == .unreadable, "\(piece)")
        }
    }

    @Test("options have letters and a mark")
    func choices() throws {
        let choices = try #require(Choices(["one", "two (of them)"]))
        #expect(choices.listed() == "(a) one\n(b) two (of them)")
        #expect(choices.listed(marking: 1) == "(a) one\n(b) two (of them) (CORRECT)")
        #expect(Choices(["one"]) == nil && Choices(["one", " "]) == nil && Choices(Array(repeating: "x", count: 27)) == nil)
        #expect(choices.index(of: "B") == 1 && choices.index(of: "c") == nil && choices.index(of: "1") == nil && choices.index(of: "ab") == nil)
    }
}
