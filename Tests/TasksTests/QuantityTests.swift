import Tasks
import Testing

@Suite("Quantities with units")
struct QuantityTests {
    @Test(
        "the same quantity, however it is written",
        arguments: [
            ("3 1/2 hours", "3.5 hours"), ("3 1/2 hours", "210 minutes"), ("$1,250.50", "1250.5 dollars"), ("50 cents", "$0.50"), ("12 km", "12000 m"), ("1/2 cup", "0.5 cups"),
            ("5e3", "5000"), ("-7", "-7.0"), ("−7", "-7"), ("twelve", "12"), ("twenty-five", "25"), ("three hundred and five thousand", "305,000"), ("one million", "1000000"),
            ("5 feet 6 inches", "66 in"), ("1 hour and 30 minutes", "90 min"), ("1 inch", "2.54 cm"), ("2 pounds", "32 oz"), ("1 gallon", "4 quarts"), ("2 weeks", "14 days"),
            ("2 years", "24 months"), ("144 square inches", "1 square foot"), ("1 m^3", "1000 L"), ("50%", "50 percent"), ("12", "12 km"), ("12 apples", "12"),
            ("so he pays $5.", "$5"), ("3 + 4 = 7 miles", "7 miles"), ("-$5", "-5 dollars"), ("two hundred and fifty dollars", "$250"), ("3 in total", "3"), ("2/4", "1/2"),
            ("6.02 × 10^23 kg", "6.02e23 kg"), ("6.02 \\cdot 10^{23}", "6.02e23"), ("6.02 x 10²³", "6.02e23"), ("1.6 * 10^-19", "1.6e-19"), ("10^3 m", "1 km"), ("10⁻³ km", "1 m"),
            ("$2.5 million", "$2,500,000"), ("2.5 million dollars", "$2500000"), ("one million", "1 million"), ("two billion", "2,000,000,000"), ("3 hundred", "300"), ("1,200 thousand", "1.2 million"), ("10^3m", "1 km"), ("3 × 10^8m/s", "3e8 m/s"), ("1.2 × 10^3 million", "1.2e9"),
            ("2 × 10^3 × 10^2", "200000"), ("$.5 million", "$500,000"), ("2 hundred million", "2e8"), ("She sold 3 million-dollar homes", "3"), ("5 thousand-piece puzzles", "5"), ("the area is 110²", "110"), ("10-20 million", "20e6"), ("10^3 × 10^2", "100000"), ("5 €", "€5"),
            ("The train travels $12$ km.", "12 km"), (#"$12\text{ km}$"#, "12 km"), ("$d = 12$ km", "12 km"), (#"$\frac{7}{2}$ hours"#, "3.5 hours"), (#"$3\frac{1}{2}$ hours"#, "3.5 h"), (#"\boxed{12\text{ km}}"#, "12 km"),
            ("10{,}000 m", "10 km"), (#"10\,000 m"#, "10 km"), ("$5 and $6", "$6"), (#"$\$12$"#, "$12"), ("60 miles per hour", "60 mph"), ("18 km/h", "5 m/s"), ("5 meters per second", "5 m/s"),
        ])
    func same(a: String, b: String) throws {
        let (found, right) = (try #require(Quantity(lastIn: a)), try #require(Quantity(lastIn: b)))
        #expect(found.matches(right) && right.matches(found), "\(found) and \(right)")
    }

    @Test(
        "another number, or another dimension",
        arguments: [
            ("0.333", "1/3"), ("0.3333333333333333", "1/3"), ("12 kg", "12 km"), ("12 km", "12 m"), ("50%", "0.5"), ("-7", "7"), ("$5", "5 cents"), ("3 1/2", "31/2"),
            ("5 feet", "5 meters"), ("1 year", "365 days"), ("7 m", "7 m^2"), ("5 dollars", "5 euros"), ("5e3", "5"), ("1,250", "1.250"),
            ("twelve", "twenty"), ("1 hour 30 minutes", "30 minutes"),
            ("9.99 × 10^23 kg", "6.02 × 10^23 kg"), ("10^23", "23"), ("10²", "10"), ("$2.5", "$2.5 million"), ("5 × 10^3m", "5 m"), ("2 billion", "2 million"), ("two", "two billion"),
            ("60 miles", "60 miles per hour"), (#"$\frac{7}{2}$ hours"#, "2 hours"),
        ])
    func different(a: String, b: String) throws {
        let (found, right) = (try #require(Quantity(lastIn: a)), try #require(Quantity(lastIn: b)))
        #expect(!found.matches(right) && !right.matches(found), "\(found) and \(right)")
    }

    @Test("a tolerance is absolute in the gold answer's unit, or relative to it")
    func tolerance() throws {
        let right = try #require(Quantity(lastIn: "10 km"))
        let near = try #require(Quantity(lastIn: "10,050 m"))
        #expect(!near.matches(right))
        #expect(near.matches(right, tolerance: .init(absolute: 0.06)) && !near.matches(right, tolerance: .init(absolute: 0.04)))
        #expect(near.matches(right, tolerance: .init(relative: 0.006)) && !near.matches(right, tolerance: .init(relative: 0.004)))
    }

    @Test("a text has its quantities in order; what is none is passed over", arguments: [
        ("from 5-3 to -2", ["5", "3", "-2"]), ("x = 5/0", []), ("no number", []), ("1,2,3", ["1", "2", "3"]), ("5 feet 6 inches and 3 kg", ["5.5 foot", "3 kilogram"]),
        ("someone has two", ["2"]), (String(repeating: "9", count: 50), []), ("ten twelve", ["10", "12"]), ("about 7 1/2 hours", ["15/2 hour"]),
    ])
    func all(text: String, quantities: [String]) {
        #expect(Quantity.all(in: text).map(\.description) == quantities)
    }

    @Test("the verifier reads behind ####, else the last line, and says what it compared")
    func verifier() async throws {
        let problem = Problem(id: "q", question: "?", answer: "12 km")
        #expect(try await verdict(QuantityVerifier(), problem, "first 3, then\n#### 12000 m\nbye 4") == Verdict(.right, evidence: "read 12000 meter, expected 12 kilometer"))
        #expect(try await verdict(QuantityVerifier(), problem, "3 and 4\nThat makes 13 km.") == Verdict(.wrong, evidence: "read 13 kilometer, expected 12 kilometer"))
        #expect(try await verdict(QuantityVerifier(), problem, "12").outcome == .right)
        #expect(try await verdict(QuantityVerifier(requiresUnit: true), problem, "12").outcome == .wrong)
        #expect(try await verdict(QuantityVerifier(tolerance: .init(relative: 0.1)), problem, "13 km").outcome == .right)
        #expect(try await verdict(QuantityVerifier(), problem, "far") == Verdict(.unreadable, evidence: "no quantity found, expected 12 kilometer"))
        #expect(try await verdict(QuantityVerifier(), problem, "12 km", finish: .length).outcome == .cutOff)
        let judgements = await QuantityVerifier().judge([rollout(Problem(id: "q", question: "?", answer: "far"), "12")])
        #expect(judgements == [.failed(reason: "problem 'q' has no quantity to compare with: its answer is far")])
    }

    @Test("answers vote for a quantity, however they write it", arguments: ["1 hour 30 minutes", "1 1/2 hours", "so 90 min", "5400 seconds", "90"])
    func votes(text: String) throws {
        let verifier = QuantityVerifier(), problem = Problem(id: "q", question: "?", answer: "90 minutes")
        let answer = try #require(verifier.answer(in: rollout(problem, text)))
        #expect(verifier.areEqual(answer, "90 minutes") && !verifier.areEqual(answer, "91 minutes"), "\(answer)")
        let pounds = try #require(verifier.answer(in: rollout(problem, "£5")))
        #expect(verifier.areEqual(pounds, "£5") && !verifier.areEqual(pounds, "$5"))
        let near = QuantityVerifier(tolerance: .init(absolute: 0.01)), strict = QuantityVerifier(requiresUnit: true)
        #expect(near.areEqual("3.14", "3.141") && !verifier.areEqual("3.14", "3.141") && !strict.areEqual("12", "12 km") && strict.areEqual("12000 m", "12 km"))
        #expect(verifier.answer(in: rollout(problem, "long")) == nil && verifier.answer(in: rollout(problem, text, finish: .length)) == nil)
    }
}
