import Tensors
import Testing
import Training

/// The tokens that a row of the batch has seen, itself included, found by walking to the root.
private func context(of row: Int, in batch: RaggedBatch) -> [Int32] {
    let own = batch.spans.firstIndex { $0.rows.contains(row) }!
    var tokens = Array(batch.tokens[batch.spans[own].start...row])
    var at = batch.spans[own].parent
    while let span = at {
        tokens = batch.tokens[batch.spans[span].rows] + tokens
        at = batch.spans[span].parent
    }
    return tokens
}

private func expectRight(_ examples: [Example], sharing: Bool = true, minimumShared: Int = 8, sourceLocation: SourceLocation = #_sourceLocation) {
    let layout = ExampleBatch(examples, sharingPrefixes: sharing, minimumShared: minimumShared)
    #expect(layout.ranges.count == examples.count && layout.rows.count == layout.targets.count, sourceLocation: sourceLocation)
    #expect(layout.ranges.map(\.lowerBound) == [0] + layout.ranges.dropLast().map(\.upperBound), sourceLocation: sourceLocation)
    #expect(layout.ranges.last?.upperBound ?? 0 == layout.rows.count, sourceLocation: sourceLocation)
    for (example, range) in zip(examples, layout.ranges) {
        let trained = example.completionTokens.indices.filter { example.trained[$0] }
        let targets = Array(layout.targets[range])
        #expect(targets == trained.map { example.completionTokens[$0] }, sourceLocation: sourceLocation)
        guard range.count == trained.count else { continue }
        for (place, index) in zip(range, trained) {
            let row = Int(layout.rows[place])
            let expected = example.promptTokens + example.completionTokens[..<index]
            #expect(context(of: row, in: layout.batch) == expected, sourceLocation: sourceLocation)
            #expect(Int(layout.batch.positions[row]) == expected.count - 1, sourceLocation: sourceLocation)
        }
    }
    // The last token of a completion predicts nothing, so it is not computed.
    let separate = examples.reduce(0) { $0 + $1.promptTokens.count + max(0, $1.completionTokens.count - 1) }
    #expect(sharing ? layout.batch.count <= separate : layout.batch.count == separate, sourceLocation: sourceLocation)
}

private func count(_ examples: [Example], sharing: Bool = true, minimumShared: Int = 8) -> Int {
    ExampleBatch(examples, sharingPrefixes: sharing, minimumShared: minimumShared).batch.count
}

@Suite("Examples laid out with common prefixes")
struct ExampleBatchTests {
    private let long = Array(Int32(0)..<20)

    @Test("random families of examples", arguments: 0..<60)
    func random(seed: Int) {
        let key = RandomKey(seed: UInt64(seed))
        // Few letters, so that prefixes are also common by accident.
        let letters = [2, 3, 20][seed % 3]
        var sequences: [[Int32]] = []
        var examples: [Example] = []
        for index in 0..<(1 + key.index(below: 14, 1)) {
            let k = key.folding(index)
            var sequence: [Int32] = []
            if index > 0, k.uniform(1) < 0.8 {
                let earlier = sequences[k.index(below: index, 2)]
                sequence = Array(earlier.prefix(k.uniform(3) < 0.2 ? earlier.count : k.index(below: earlier.count + 1, 4)))
            }
            sequence += (0..<k.index(below: 15, 5)).map { Int32(k.index(below: letters, UInt64(20 + $0))) }
            if sequence.isEmpty { sequence = [0] }
            sequences.append(sequence)
            let prompt = 1 + k.index(below: sequence.count, 6)
            let completion = Array(sequence[prompt...])
            examples.append(Example(
                promptTokens: Array(sequence[..<prompt]), completionTokens: completion, trained: completion.indices.map { k.uniform(UInt64(60 + $0)) < 0.8 }))
        }
        for minimumShared in [1, 4, 8] { expectRight(examples, minimumShared: minimumShared) }
        expectRight(examples, sharing: false)
    }

    @Test("equal examples cost as much as one")
    func duplicates() {
        for length in [3, 12] {
            let example = Example(promptTokens: Array(long[..<length]), completionTokens: [1, 2, 3])
            expectRight([example, example, example])
            #expect(count([example, example, example]) == count([example]))
        }
    }

    @Test("one example the beginning of another, whichever comes first")
    func beginnings() {
        let short = Example(promptTokens: long, completionTokens: [7, 8, 9])
        let extended = Example(promptTokens: long + [7, 8], completionTokens: [9, 10, 11, 12])
        for examples in [[short, extended], [extended, short], [short, extended, short, extended]] {
            expectRight(examples)
            #expect(count(examples) == count([extended]))
        }
    }

    @Test("the same tokens with the prompt ending elsewhere")
    func otherPrompt() {
        let examples = [
            Example(promptTokens: long, completionTokens: [7, 8, 9]), Example(promptTokens: Array(long[..<5]), completionTokens: Array(long[5...]) + [7, 8, 9]),
        ]
        expectRight(examples)
        #expect(count(examples) == count([examples[0]]))
    }

    @Test("branches split where later examples leave, and leave again")
    func nested() {
        let examples = [
            Example(promptTokens: long, completionTokens: [1, 1, 1, 1]), Example(promptTokens: Array(long[..<10]), completionTokens: [5, 5]),
            Example(promptTokens: Array(long[..<15]), completionTokens: [6, 6, 6]), Example(promptTokens: Array(long[..<12]), completionTokens: Array(long[12..<14])),
            Example(promptTokens: long, completionTokens: [1, 1, 2]),
        ]
        for minimumShared in [1, 4, 8] { expectRight(examples, minimumShared: minimumShared) }
        #expect(count(examples) < count(examples, sharing: false))
    }

    @Test("a prompt shared by all is computed once")
    func sharedPrompt() {
        let examples = (0..<6).map { Example(promptTokens: long, completionTokens: [Int32($0), 1, 2, 3]) }
        expectRight(examples)
        #expect(count(examples) == long.count + 6 * 3)
    }

    @Test("prefixes shorter than the least worth sharing are kept apart")
    func shortPrefixes() {
        let examples = (0..<2).map { Example(promptTokens: [1, 2, 3], completionTokens: [Int32(4 + $0), 9, 9]) }
        #expect(count(examples, minimumShared: 8) == count(examples, sharing: false))
        #expect(count(examples, minimumShared: 3) == 3 + 2 * 2)
    }

    @Test("examples with nothing trained, or nothing to train, take no rows")
    func nothingTrained() {
        let examples = [
            Example(promptTokens: long, completionTokens: []), Example(promptTokens: long, completionTokens: [1, 2], trained: [false, false]),
            Example(promptTokens: [1], completionTokens: [2]),
        ]
        expectRight(examples)
        #expect(ExampleBatch(examples).ranges.map(\.count) == [0, 0, 1])
    }

    @Test("what an example counts")
    func counts() {
        let example = Example(promptTokens: [1, 2], completionTokens: [3, 4, 5], trained: [true, false, true])
        #expect(example.trainedCount == 2 && example.tokenCount == 5)
        #expect(Example(promptTokens: [1], completionTokens: [2, 3]).trained == [true, true])
    }

    @Test("labels at the places before completion tokens are the completion itself, alone and beside examples without labels")
    func labels() throws {
        let examples = Tiny.examples(), decoder = try Tiny.decoder()
        func labelled(_ example: Example) -> Example {
            let trained = example.completionTokens.indices.filter { example.trained[$0] }
            return Example(
                tokens: example.promptTokens + example.completionTokens.dropLast(),
                labels: .init(places: trained.map { Int32(example.promptTokens.count - 1 + $0) }, targets: trained.map { example.completionTokens[$0] }))
        }
        let plain = try gradient(of: decoder, NegativeLogLikelihood(), examples)
        for some in [examples.map(labelled), examples.enumerated().map { $0 % 2 == 0 ? labelled($1) : $1 }] {
            let found = try gradient(of: decoder, NegativeLogLikelihood(), some)
            #expect(found.result.trainedTokens == plain.result.trainedTokens && abs(found.loss - plain.loss) < 1e-9 && deviation(found.values, plain.values) < 1e-5)
        }
    }
}
