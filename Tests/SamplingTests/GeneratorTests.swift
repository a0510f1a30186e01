import Architectures
import Foundation
import ModelFiles
import Sampling
import Tensors
import Testing
import Tokenization
import Training

/// Requests of many kinds whose prompts all begin with the same `shared` tokens.
private func randomRequests(_ tiny: Tiny, _ key: RandomKey, shared: Int, count: Int? = nil) -> [GenerationRequest] {
    let kinds = [
        SamplingOptions.greedy, SamplingOptions(), SamplingOptions(temperature: 0.7), SamplingOptions(topK: 4), SamplingOptions(topP: 0.8),
        SamplingOptions(temperature: 1.4, minP: 0.05), SamplingOptions(typicalP: 0.7),
    ]
    let prefix = tiny.tokens(key.folding("prefix"), shared)
    return (0..<(count ?? 2 + key.index(below: 6, 1))).map { index in
        let k = key.folding("request").folding(index)
        return GenerationRequest(
            promptTokens: prefix + tiny.tokens(k.folding("tail"), 1 + k.index(below: 20, 1)), samples: 1 + k.index(below: 4, 2),
            options: kinds[k.index(below: kinds.count, 3)], maxTokens: 1 + k.index(below: 24, 4),
            stopTokens: k.uniform(5) < 0.5 ? [tiny.eos] : [tiny.eos, Int32(k.index(below: tiny.vocabulary, 6))], key: k.folding("draws"))
    }
}

private func traces(_ completions: [Completion]) -> [Trace] { completions.map { Trace($0) } }

@Suite("A completion does not depend on its company")
struct GeneratorInvarianceTests {
    /// Each request by itself, with a generator of its own.
    private func alone(_ tiny: Tiny, _ requests: [GenerationRequest]) throws -> [Trace] {
        try requests.flatMap { traces(try Generator(tiny.model).run([$0])) }
    }

    @Test("alone, in a batch, few or many at a time: the same bits", arguments: 0..<12)
    func batches(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(seed), window: seed % 3 == 2 ? 7 : nil)
        let shared = [0, 5, 16, 37, 48][seed % 5]
        let requests = randomRequests(tiny, RandomKey(seed: UInt64(1000 + seed)), shared: shared)
        let expected = try alone(tiny, requests)
        let generator = Generator(tiny.model)
        let together = try generator.run(requests)
        #expect(traces(together) == expected)
        let order = together.map { [$0.request, $0.sample] }
        #expect(order == requests.indices.flatMap { request in (0..<requests[request].samples).map { [request, $0] } })
        for (sequences, prefill) in [(1, 1024), (64, 1024), (3, 1024), (64, 1), (5, 30)] {
            // The same generator again: what earlier runs left in its cache must not matter.
            generator.maxSequences = sequences
            generator.maxPrefillTokens = prefill
            #expect(traces(try generator.run(requests)) == expected, "\(sequences) sequences, \(prefill) prompt tokens")
        }
    }

    @Test("at any precision: the same bits in any company, and log-probabilities as scored at that precision", arguments: Precision.allCases)
    func precisions(precision: Precision) throws {
        let exact = try Tiny(seed: 7), tiny = exact.at(precision)
        let requests = randomRequests(tiny, RandomKey(seed: 77), shared: 20, count: 6)
        let expected = try alone(tiny, requests)
        let together = try Generator(tiny.model).run(requests)
        #expect(traces(together) == expected)
        let examples = together.map { Example(promptTokens: requests[$0.request].promptTokens, completionTokens: $0.tokens) }
        for (completion, laws) in zip(together, tiny.decoder.score(examples)) { #expect(bits(completion.logProbabilities) == bits(laws.map(\.logProbability))) }
        // What float32 says differs a little, and not at all where that is what sampled.
        let differences = zip(together, exact.decoder.score(examples)).flatMap { zip($0.logProbabilities, $1.map(\.logProbability)).map { abs($0 - $1) } }
        let mean = differences.reduce(0, +) / Float(differences.count)
        #expect(precision == .float32 ? mean == 0 : mean > 0 && mean < 0.1)
    }

    @Test("in another order, with other neighbours: the same bits", arguments: 0..<6)
    func neighbours(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(20 + seed))
        let requests = randomRequests(tiny, RandomKey(seed: UInt64(2000 + seed)), shared: seed % 2 == 0 ? 33 : 0, count: 5)
        let strangers = randomRequests(tiny, RandomKey(seed: UInt64(3000 + seed)), shared: 3, count: 3)
        let expected = try alone(tiny, requests)
        let generator = Generator(tiny.model)
        let reversed = try generator.run(requests.reversed() + strangers)
        let regrouped = requests.indices.flatMap { index in reversed.filter { $0.request == requests.count - 1 - index } }
        #expect(traces(regrouped) == expected)
    }

    @Test("one sample of few or of many: the same bits", arguments: 0..<6)
    func samples(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(40 + seed))
        for var request in randomRequests(tiny, RandomKey(seed: UInt64(4000 + seed)), shared: 0, count: 3) {
            request.samples = 9
            let many = traces(try Generator(tiny.model).run([request]))
            for few in [1, 4] {
                request.samples = few
                let some = traces(try Generator(tiny.model).run([request]))
                #expect(some == Array(many.prefix(few)))
            }
        }
    }

    @Test("any number of threads: the same bits")
    func threads() throws {
        var results: [[Trace]] = []
        for threads in [1, 2, 5] {
            let tiny = try Tiny(seed: 60, threads: threads)
            results.append(traces(try Generator(tiny.model).run(randomRequests(tiny, RandomKey(seed: 5000), shared: 20))))
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    @Test("other keys give other completions, the same key the same")
    func keys() throws {
        let tiny = try Tiny(seed: 61)
        func text(_ seed: UInt64) throws -> [Trace] {
            traces(try Generator(tiny.model).run([
                GenerationRequest(promptTokens: [1, 2, 3], samples: 3, options: SamplingOptions(), maxTokens: 20, stopTokens: [], key: RandomKey(seed: seed))
            ]))
        }
        let first = try text(1)
        #expect(try text(1) == first)
        #expect(try text(2) != first)
        #expect(first[0] != first[1] && first[1] != first[2])
    }
}

@Suite("What a completion records")
struct GeneratorRecordTests {
    @Test("log-probabilities are those of scoring prompt and completion, bit for bit", arguments: 0..<8)
    func scores(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(70 + seed), window: seed % 4 == 3 ? 5 : nil)
        let requests = randomRequests(tiny, RandomKey(seed: UInt64(6000 + seed)), shared: [0, 19, 40][seed % 3])
        let completions = try Generator(tiny.model).run(requests)
        let examples = completions.map { Example(promptTokens: requests[$0.request].promptTokens, completionTokens: $0.tokens) }
        let together = tiny.decoder.score(examples)
        for (completion, laws) in zip(completions, together) { #expect(bits(completion.logProbabilities) == bits(laws.map(\.logProbability))) }
        let apart = examples.map { tiny.decoder.score([$0], microBatchTokens: 1)[0] }
        #expect(apart == together)
    }

    @Test("each token is the draw from logits computed again without a cache, and its behaviour is that law's", arguments: 0..<6)
    func draws(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(80 + seed))
        let requests = randomRequests(tiny, RandomKey(seed: UInt64(7000 + seed)), shared: 17)
        for completion in try Generator(tiny.model).run(requests) {
            let request = requests[completion.request]
            let rows = tiny.logits(request.promptTokens + completion.tokens.dropLast())
            for (index, token) in completion.tokens.enumerated() {
                let row = rows[request.promptTokens.count - 1 + index]
                let behavior = completion.behaviorLogProbabilities[index]
                if request.options.temperature == 0 {
                    #expect(row[Int(token)] == row.max()! && row.firstIndex(of: row.max()!) == Int(token))
                    #expect(behavior == 0)
                } else {
                    let p = request.options.law(row).probability(of: Int(token))
                    #expect(p > 0 && abs(Foundation.log(p) - Double(behavior)) < 2e-5)
                }
                #expect(abs(Foundation.log(softmax(row)[Int(token)]) - Double(completion.logProbabilities[index])) < 2e-5)
            }
        }
    }

    @Test("greedy decoding is arg max by computing everything again for every token", arguments: 0..<4)
    func greedy(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(90 + seed))
        let prompt = tiny.tokens(RandomKey(seed: UInt64(seed)), 13)
        var tokens = prompt
        while tokens.count < prompt.count + 40 {
            let row = tiny.logits(tokens)[tokens.count - 1]
            tokens.append(Int32(row.firstIndex(of: row.max()!)!))
            if tokens.last == tiny.eos { break }
        }
        let request = GenerationRequest(promptTokens: prompt, options: .greedy, maxTokens: 40, stopTokens: [tiny.eos], key: RandomKey(seed: 0))
        let completion = try #require(try Generator(tiny.model).run([request]).first)
        #expect(completion.tokens == Array(tokens[prompt.count...]))
    }

    @Test("first tokens of 20,000 samples follow the law")
    func frequencies() throws {
        let tiny = try Tiny(seed: 95)
        let options = SamplingOptions(temperature: 2, topK: 10)
        let request = GenerationRequest(
            promptTokens: [3, 1, 4, 1, 5], samples: 20_000, options: options, maxTokens: 1, stopTokens: [], key: RandomKey(seed: 9))
        var counts = [Int](repeating: 0, count: tiny.vocabulary)
        for completion in try Generator(tiny.model).run([request]) { counts[Int(completion.tokens[0])] += 1 }
        let law = options.law(tiny.logits(request.promptTokens)[4])
        let statistic = chiSquare(law.tokens.map { counts[$0] }, law.tokens.map { law.probability(of: $0) })
        let bound = try #require(chiSquareBound[law.tokens.count - 1])
        #expect(law.tokens.reduce(0) { $0 + counts[$1] } == 20_000)
        #expect(statistic < bound)
    }

    @Test("alternatives are the most likely tokens, most likely first")
    func alternatives() throws {
        let tiny = try Tiny(seed: 96)
        let request = GenerationRequest(
            promptTokens: [1, 2], options: SamplingOptions(), maxTokens: 12, stopTokens: [], key: RandomKey(seed: 3), alternatives: 4)
        let completion = try #require(try Generator(tiny.model).run([request]).first)
        let rows = tiny.logits(request.promptTokens + completion.tokens.dropLast())
        #expect(completion.alternatives.count == completion.tokens.count)
        for (index, alternatives) in completion.alternatives.enumerated() {
            let row = rows[1 + index]
            let order = row.indices.sorted { (row[$1], $0) < (row[$0], $1) }.prefix(4).map { Int32($0) }
            #expect(alternatives.map(\.token) == order)
            for alternative in alternatives where alternative.token == completion.tokens[index] {
                #expect(alternative.logProbability.bitPattern == completion.logProbabilities[index].bitPattern)
            }
        }
        let silent = try #require(try Generator(tiny.model).run([GenerationRequest(
            promptTokens: [1, 2], options: SamplingOptions(), maxTokens: 12, stopTokens: [], key: RandomKey(seed: 3))]).first)
        #expect(silent.alternatives.isEmpty)
        #expect(Trace(silent) == Trace(completion))
    }
}

@Suite("How a completion ends")
struct GeneratorEndTests {
    private func request(_ maxTokens: Int = 40, seed: UInt64 = 1) -> GenerationRequest {
        GenerationRequest(promptTokens: [1, 2, 3, 4], options: SamplingOptions(), maxTokens: maxTokens, stopTokens: [], key: RandomKey(seed: seed))
    }

    @Test("a stop string that ends inside a token keeps the whole token and cuts the text", arguments: 0..<6)
    func stopStrings(seed: Int) throws {
        let tiny = try Tiny(seed: UInt64(100 + seed))
        let whole = try #require(try Generator(tiny.model).run([request(seed: UInt64(seed))]).first)
        let pieces = whole.tokens.map { tiny.model.tokenizer.bytes(of: $0) }
        let text = Array(pieces.joined())
        #expect(whole.text == String(decoding: text, as: UTF8.self))
        var inside = 0
        let key = RandomKey(seed: UInt64(seed))
        for trial in 0..<30 {
            let length = 1 + key.index(below: 6, UInt64(2 * trial))
            let start = key.index(below: text.count - length, UInt64(2 * trial + 1))
            let stop = String(decoding: text[start..<start + length], as: UTF8.self)
            // The first token whose bytes complete the string, and where the string first begins.
            var seen: [UInt8] = []
            var count = 0
            var cut: Int?
            while cut == nil {
                seen += pieces[count]
                count += 1
                cut = (0...max(0, seen.count - length)).first { seen[$0...].prefix(length).elementsEqual(stop.utf8) }
            }
            if cut! + length < seen.count { inside += 1 }
            var stopped = request(seed: UInt64(seed))
            stopped.stopStrings = ["never said", stop]
            let completion = try #require(try Generator(tiny.model).run([stopped]).first)
            #expect(completion.tokens == Array(whole.tokens.prefix(count)), "'\(stop)'")
            #expect(completion.text == String(decoding: seen[..<cut!], as: UTF8.self))
            #expect(completion.finishReason == .stop)
            #expect(bits(completion.logProbabilities) == bits(Array(whole.logProbabilities.prefix(count))))
        }
        #expect(inside > 0, "no string of this test ended inside a token")
    }

    @Test("of several stop strings the first in the text cuts")
    func severalStopStrings() throws {
        let tiny = try Tiny(seed: 110)
        let whole = try #require(try Generator(tiny.model).run([request()]).first)
        let text = Array(whole.text.utf8)
        var stopped = request()
        stopped.stopStrings = [String(decoding: text[9..<13], as: UTF8.self), String(decoding: text[7..<13], as: UTF8.self)]
        let completion = try #require(try Generator(tiny.model).run([stopped]).first)
        let cuts = stopped.stopStrings.compactMap { whole.text.range(of: $0)?.lowerBound }
        #expect(completion.finishReason == .stop)
        #expect(completion.text == String(whole.text[..<cuts.min()!]))
    }

    @Test("an empty stop string stops nothing")
    func emptyStopString() throws {
        let tiny = try Tiny(seed: 111)
        var stopped = request()
        stopped.stopStrings = [""]
        let generator = Generator(tiny.model)
        #expect(traces(try generator.run([stopped])) == traces(try generator.run([request()])))
    }

    @Test("a stop token is part of the tokens, not of the text")
    func stopTokens() throws {
        let tiny = try Tiny(seed: 112)
        let whole = try #require(try Generator(tiny.model).run([request()]).first)
        let stop = whole.tokens[6]
        let count = whole.tokens.firstIndex(of: stop)! + 1
        var stopped = request()
        stopped.stopTokens = [stop]
        let completion = try #require(try Generator(tiny.model).run([stopped]).first)
        #expect(completion.tokens == Array(whole.tokens.prefix(count)))
        #expect(completion.finishReason == .stop)
        let bytes = whole.tokens.prefix(count - 1).flatMap { tiny.model.tokenizer.bytes(of: $0) }
        #expect(completion.text == String(decoding: bytes, as: UTF8.self))
    }

    @Test("the token budget cuts, unless the last token allowed is a stop token")
    func length() throws {
        let tiny = try Tiny(seed: 113)
        for budget in [1, 2, 17] {
            let completion = try #require(try Generator(tiny.model).run([request(budget)]).first)
            #expect(completion.tokens.count == budget && completion.finishReason == .length)
            #expect(completion.logProbabilities.count == budget && completion.behaviorLogProbabilities.count == budget)
        }
        let whole = try #require(try Generator(tiny.model).run([request(1)]).first)
        var stopped = request(1)
        stopped.stopTokens = whole.tokens
        let completion = try #require(try Generator(tiny.model).run([stopped]).first)
        #expect(completion.finishReason == .stop)
    }

    @Test("prompt and completion together fill the context and no more", arguments: [1, 20, 31])
    func context(prompt: Int) throws {
        let tiny = try Tiny(seed: 114, context: 32)
        var long = request(1000)
        long.promptTokens = tiny.tokens(RandomKey(seed: 4), prompt)
        let completion = try #require(try Generator(tiny.model).run([long]).first)
        #expect(completion.tokens.count == 32 - prompt && completion.finishReason == .length)
    }

    @Test("a prompt that fills the context, or is empty, is refused before anything is computed")
    func refused() throws {
        let tiny = try Tiny(seed: 115, context: 32)
        let generator = Generator(tiny.model)
        var long = request(), empty = request(), wrong = request()
        long.promptTokens = [Int32](repeating: 1, count: 32)
        empty.promptTokens = []
        wrong.options.topP = 2
        var seen = 0
        #expect(throws: SamplingError.promptTooLong(tokens: 32, context: 32)) { try generator.run([request(), long], onToken: { _, _, _ in seen += 1 }) }
        #expect(throws: SamplingError.emptyPrompt) { try generator.run([request(), empty], onToken: { _, _, _ in seen += 1 }) }
        #expect(throws: SamplingError.self) { try generator.run([request(), wrong], onToken: { _, _, _ in seen += 1 }) }
        #expect(seen == 0)
        #expect(SamplingError.promptTooLong(tokens: 32, context: 32).description.contains("32"))
    }

    @Test("nothing asked, nothing done")
    func nothing() throws {
        let tiny = try Tiny(seed: 116)
        var none = request()
        none.samples = 0
        let generator = Generator(tiny.model)
        #expect(try generator.run([]).isEmpty)
        #expect(try generator.run([none]).isEmpty)
    }
}

@Suite("While completions are made")
struct GeneratorProgressTests {
    private func requests(_ tiny: Tiny) -> [GenerationRequest] {
        [2, 30, 5, 30].enumerated().map { index, budget in
            GenerationRequest(
                promptTokens: tiny.tokens(RandomKey(seed: 8), 18) + [Int32(index)], samples: 2, options: SamplingOptions(), maxTokens: budget, stopTokens: [],
                key: RandomKey(seed: 5).folding(index))
        }
    }

    @Test("tokens and completions are handed out as they come")
    func callbacks() throws {
        let tiny = try Tiny(seed: 120)
        var tokens: [[Int]: [Int32]] = [:]
        var finished: [[Int]: Trace] = [:]
        let completions = try Generator(tiny.model).run(
            requests(tiny), onToken: { tokens[[$0, $1], default: []].append($2) }, onFinish: { finished[[$0.request, $0.sample]] = Trace($0) })
        #expect(finished.count == completions.count && tokens.count == completions.count)
        for completion in completions {
            #expect(tokens[[completion.request, completion.sample]] == completion.tokens)
            #expect(finished[[completion.request, completion.sample]] == Trace(completion))
        }
    }

    @Test("a cancelled run gives what has finished, and the generator goes on as before")
    func cancellation() throws {
        let tiny = try Tiny(seed: 121)
        let generator = Generator(tiny.model)
        let expected = try generator.run(requests(tiny))
        var looks = 0
        let some = try generator.run(requests(tiny), isCancelled: {
            looks += 1
            return looks > 8
        })
        #expect(some.map(\.request) == [0, 0, 2, 2])
        let same = expected.filter { [0, 2].contains($0.request) }
        #expect(traces(some) == traces(same))
        #expect(try generator.run(requests(tiny), isCancelled: { true }).isEmpty)
        #expect(traces(try generator.run(requests(tiny))) == traces(expected))
    }

    @Test("an error from who watches ends the run, and the generator goes on as before")
    func watcherFails() throws {
        struct Halt: Error {}
        let tiny = try Tiny(seed: 122)
        let generator = Generator(tiny.model)
        let expected = traces(try generator.run(requests(tiny)))
        for first in 1...4 {
            var count = 0
            #expect(throws: Halt.self) {
                try generator.run(requests(tiny), onFinish: { _ in
                    count += 1
                    if count == first { throw Halt() }
                })
            }
        }
        #expect(traces(try generator.run(requests(tiny))) == expected)
    }

    @Test("broken weights are reported, and repaired weights work again in the same generator")
    func brokenWeights() throws {
        let tiny = try Tiny(seed: 123)
        let generator = Generator(tiny.model)
        let expected = traces(try generator.run(requests(tiny)))
        let parameters = tiny.decoder.parameters
        for name in ["model.embed_tokens.weight", "model.layers.1.input_layernorm.weight", "model.norm.weight"] {
            let parameter = try #require(parameters[name])
            let good = parameters.read(parameter)
            let bad = [Float](repeating: .nan, count: good.count)
            bad.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
            #expect(throws: SamplingError.notFinite) { try generator.run(requests(tiny)) }
            good.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
            #expect(traces(try generator.run(requests(tiny))) == expected, "after \(name)")
        }
    }
}

@Suite("What a model cannot read is not dropped in silence")
struct UnreadableTextTests {
    @Test("a text with characters that have no token is refused with them")
    func unreadable() throws {
        let model = try Tiny().model
        #expect(try model.encode("the cat\ta") == model.tokenizer.encode("the cata"))
        let error = #expect(throws: FileError.self) { try model.encode("the bâcé") }
        #expect(error?.problem == "has no token for 'â', 'é'")
    }
}
