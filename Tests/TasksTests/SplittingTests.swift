import Foundation
import Sampling
import Tasks
import Testing

@Suite("Splitting")
struct SplittingTests {
    @Test("the hashes are the published ones, so splits stay where they are")
    func hashes() {
        #expect(StableHash.fnv1a("") == 0xCBF2_9CE4_8422_2325)
        #expect(StableHash.fnv1a("a") == 0xAF63_DC4C_8601_EC8C)
        #expect(StableHash.fnv1a("foobar") == 0x8594_4171_F739_67E8)
        #expect(StableHash.mix(0x9E37_79B9_7F4A_7C15) == 0xE220_A839_7B1D_CDAF)  // SplitMix64's first number for seed 0
        #expect(StableHash.hex(0xAB) == "00000000000000ab")
    }

    @Test("the generator draws evenly, and shuffling keeps every element")
    func generator() {
        var generator = SeededGenerator(seed: 5, label: "test")
        var counts = [Int](repeating: 0, count: 6)
        for _ in 0..<6000 { counts[generator.below(6)] += 1 }
        #expect(counts.allSatisfy { (850...1150).contains($0) }, "\(counts)")
        let shuffled = generator.shuffled(Array(0..<100))
        #expect(shuffled.sorted() == Array(0..<100) && shuffled != Array(0..<100))
        var (one, same, other) = (
            SeededGenerator(seed: 1, label: "a"), SeededGenerator(seed: 1, label: "a"), SeededGenerator(seed: 1, label: "b")
        )
        let first = one.next()
        #expect(first == same.next() && first != other.next())
    }

    @Test("numbers, names, case, punctuation and spacing do not make a text another one")
    func normalized() {
        let key = Splitting.normalized("Joan found 70 seashells on the beach.")
        #expect(key == "found seashells on the beach")
        #expect(Splitting.normalized("Tim  found 8 seashells on the\nbeach") == key)
        #expect(Splitting.normalized("Tim found 1,250.5 seashells, on the beach!") == key)
        #expect(Splitting.normalized("Tim lost 8 seashells on the beach") != key)
    }

    @Test("a text with too few other words counts as a whole")
    func shortTexts() {
        #expect(Splitting.normalized("What is 5 + 3?") == "= what is 5 + 3?")
        #expect(Splitting.normalized("What is 5 + 3?") != Splitting.normalized("What is 5 + 4?"))
        #expect(Splitting.normalized("  WHAT is  5 + 3? ") == Splitting.normalized("What is 5 + 3?"))
    }

    @Test("shares come out as asked, and a key's side never depends on others")
    func shares() {
        let splitting = Splitting(dev: 0.1, test: 0.2)
        let splits = (0..<5000).map { splitting.split(ofKey: "key \($0)") }
        #expect((900...1100).contains(splits.filter { $0 == .test }.count))
        #expect((420...580).contains(splits.filter { $0 == .dev }.count))
        let none = Splitting(dev: 0, test: 0)
        #expect((0..<100).allSatisfy { none.split(ofKey: "key \($0)") == .train })
    }

    @Test("an overlap between splits is reported with the ids of both sides")
    func overlap() {
        func problem(_ id: String, _ question: String) -> Problem { Problem(id: id, question: question) }
        let train = [problem("a", "Ann ate 3 red apples today"), problem("b", "how many boats are there")]
        let test = [problem("c", "Bob ate 99 red apples today"), problem("d", "how many cars are there")]
        let found = Overlap.between(train: train, dev: [], test: test)
        #expect(found == [Overlap(key: "ate red apples today", places: ["train a", "test c"])])
        #expect(found[0].description == "train a, test c: ate red apples today")
        #expect(Overlap.between(train: train, dev: [train[0]], test: []).count == 1)
        #expect(Overlap.between(train: [train[0], train[0]], dev: [], test: []).isEmpty)
    }

    @Test("planted test questions are found in training text exactly")
    func contamination() {
        let questions = (0..<40).map { number in
            Problem(id: "q\(number)", question: (0..<20).map { "w\(number * 7 + $0 * $0)" }.joined(separator: " "))
        }
        var training = (0..<30).map { number in (0..<50).map { "t\(number)x\($0)" }.joined(separator: " ") }
        #expect(Overlap.contaminated(questions, by: training).isEmpty)
        for number in 0..<10 { training[number * 2] += ", " + questions[number * 3].question.uppercased() + "!" }
        #expect(Overlap.contaminated(questions, by: training) == (0..<10).map { "q\($0 * 3)" })
        let short = [Problem(id: "s", question: "624 + 259"), Problem(id: "t", question: "624 + 258")]
        #expect(Overlap.contaminated(short, by: ["so 624 + 259 = 883"]) == ["s"])
    }
}
