import Evaluation
import Foundation
import Recipes
import Runs
import Tasks
import Testing

#if canImport(FoundationXML)
import FoundationXML
#endif

/// Whether the text is well-formed XML; says where it is not.
func expectWellFormed(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let parser = XMLParser(data: Data(text.utf8))
    #expect(parser.parse(), "line \(parser.lineNumber): \(String(describing: parser.parserError))", sourceLocation: sourceLocation)
}

@Suite("Reports")
struct ReportTests {
    @Test("the page of a run holds every curve, escapes what models and people wrote, and needs nothing else")
    func page() throws {
        try withRecord { record in
            for piece in try pieces() { try piece(record) }
            let wicked = "</pre><script>alert('\u{1B}[2J & \0')</script>"
            try record.record([
                rollout(0, phase: "test", text: wicked, judgement: judged(.wrong)), rollout(0, iteration: 1, phase: "test", text: "A: 1 < 2", judgement: judged(.right)),
                rollout(1, iteration: 1, phase: "rationalise", mode: .hinted, judgement: judged(.right)),
            ])
            try record.record([MetricRecord(iteration: 1, phase: "test", name: "accuracy", category: "<4>", value: 0.5, count: 8)])
            try record.writeReport()
            let html = try String(contentsOfFile: "\(record.folderPath)/report.html", encoding: .utf8)
            expectWellFormed(html)
            let report = try Report(record)
            #expect(html == report.html())
            #expect(html.components(separatedBy: "<svg ").count - 1 == report.plots.count)
            #expect(!html.contains("<script") && html.contains("&lt;script&gt;") && html.contains("A: 1 &lt; 2") && html.contains("&lt;4&gt;"))
            #expect(html.contains("rationalised") && html.contains("learningRate: 0.001") && html.contains("SmolLM2-135M"))
            #expect(html.contains("prefers-color-scheme: dark"))
            #expect(!html.contains("src=") && !html.contains("href=") && !html.contains("@import") && !html.contains("url("))
            let titles = report.plots.map(\.title)
            for title in ["Accuracy", "Loss", "Mean reward", "Completion length", "Share cut off", "Share of groups without signal", "Gradient norm", "Entropy"] {
                #expect(titles.contains(title))
            }
        }
    }

    @Test("a run without data says so in every curve")
    func empty() throws {
        try withRecord { record in
            let report = try Report(record)
            let html = report.html()
            expectWellFormed(html)
            #expect(html.components(separatedBy: "no data yet").count - 1 >= report.plots.count)
        }
    }

    @Test("samples of one problem are no independent cases: an interval stands where each problem has one")
    func oneSample() throws {
        func accuracy(_ phase: String) -> MetricRecord { MetricRecord(iteration: 1, phase: phase, name: "accuracy", value: 0.5, count: 8) }
        try withRecord { record in
            try record.record([accuracy("dev"), accuracy("attempt"), MetricRecord(iteration: 1, phase: "attempt", name: "pass@2", value: 0.75, count: 4)])
            let report = try Report(record), curves = try #require(report.plots.first { $0.title == "Accuracy" }).series
            let dev = try #require(curves.first { $0.name == "dev" }?.points.first), attempt = try #require(curves.first { $0.name == "attempt" }?.points.first)
            let interval = try #require(ProportionInterval(successes: 4, count: 8))
            #expect(dev.low == interval.low && dev.high == interval.high)
            #expect(attempt == Plot.Point(x: 1, y: 0.5))
            let html = report.html()
            #expect(html.contains("50.0 % [21.5, 78.5]<br/>4 of 8") && html.contains("50.0 %<br/>4 of 8"))
        }
        // Without metrics, of the rollouts.
        try withRecord { record in
            try record.record([rollout(0, phase: "dev", judgement: judged(.right)), rollout(1, phase: "dev", judgement: judged(.wrong))])
            try record.record([rollout(0, judgement: judged(.right)), rollout(0, sample: 1, judgement: judged(.wrong))])
            let curves = try #require(try Report(record).plots.first { $0.title == "Accuracy" }).series
            #expect(curves.map(\.name) == ["attempt", "dev"] && curves.map { $0.points[0].low != nil } == [false, true])
        }
    }

    @Test("curves are drawn the same every time, within their frame")
    func plot() throws {
        let points = (0..<3).map { Plot.Point(x: Double($0), y: 0.2 * Double($0), low: 0, high: 0.5) }
        let plot = Plot(title: "a < b", xLabel: "iteration", isShare: true, series: [Plot.Series("test & dev", points), Plot.Series("train", [])])
        let svg = plot.svg()
        expectWellFormed(svg)
        #expect(svg == plot.svg())
        #expect(svg.contains("a &lt; b") && svg.contains("test &amp; dev") && svg.contains("100 %") && !svg.contains("no data yet"))
        #expect(svg.components(separatedBy: "<circle").count - 1 == 3)
    }

    @Test("odd data are drawn or left out, never an endless or a broken picture", arguments: [
        [], [Plot.Point(x: 1, y: 5)], [Plot.Point(x: 1, y: .nan)], [Plot.Point(x: 0, y: -3), Plot.Point(x: 1, y: -3)],
        [Plot.Point(x: 0, y: 1e-300), Plot.Point(x: 1, y: 1e300)], [Plot.Point(x: 0, y: 1_234_567), Plot.Point(x: 1, y: 1_234_568)],
        (0..<5000).map { Plot.Point(x: Double($0), y: Double($0 % 7)) },
    ])
    func oddPlots(points: [Plot.Point]) {
        let svg = Plot(title: "t", xLabel: "x", series: [Plot.Series("s", points)]).svg()
        expectWellFormed(svg)
        #expect(svg.contains("no data yet") == points.filter { $0.y.isFinite }.isEmpty)
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        #expect(svg.utf8.count < 30_000)
    }
}

@Suite("Intervals and comparisons")
struct RunComparisonTests {
    @Test("Wilson's interval", arguments: [(8.0, 10, 0.4902, 0.9433), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (50, 100, 0.4038, 0.5962)])
    func wilson(successes: Double, count: Int, low: Double, high: Double) throws {
        let interval = try #require(ProportionInterval(successes: successes, count: count))
        #expect(abs(interval.low - low) < 5e-5)
        #expect(abs(interval.high - high) < 5e-5)
        #expect(ProportionInterval(successes: 0, count: 0) == nil)
    }

    /// Newcombe 1998, table II, row (a), method 10: 56/70 − 48/80.
    @Test("Newcombe's interval of a difference")
    func newcombe() throws {
        let first = try #require(ProportionInterval(successes: 56, count: 70))
        let difference = first.difference(from: try #require(ProportionInterval(successes: 48, count: 80)))
        #expect(abs(difference.value - 0.2) < 1e-12)
        #expect(abs(difference.low - 0.0524) < 5e-5)
        #expect(abs(difference.high - 0.3339) < 5e-5)
    }

    /// Two runs in one folder, with their recipes and metrics.
    func compare(_ recipes: (String, String), _ metrics: ([MetricRecord], [MetricRecord])) throws -> RunComparison {
        try withTemporaryPath { path in
            for (name, recipe, metrics) in [("-a", recipes.0, metrics.0), ("-b", recipes.1, metrics.1)] {
                let record = try RunRecord(writing: RunFolder(creating: path + name, recipe: recipe))
                try record.record(metrics)
                try record.close()
            }
            return try RunComparison(RunRecord(reading: path + "-a"), RunRecord(reading: path + "-b"))
        }
    }

    func accuracy(_ iteration: Int, _ value: Double, _ count: Int) -> MetricRecord {
        MetricRecord(iteration: iteration, phase: "test", name: "accuracy", value: value, count: count)
    }

    @Test("the last metrics stand side by side, shares with an interval")
    func sideBySide() throws {
        let loss = MetricRecord(iteration: 2, phase: "test", name: "loss", value: 2.5)
        let comparison = try compare(
            (recipe, recipe.replacingOccurrences(of: "0.001", with: "0.01")),
            ([accuracy(0, 0.1, 80), accuracy(2, 0.6, 80), loss], [accuracy(2, 0.8, 70), loss]))
        let row = try #require(comparison.rows.first)
        #expect(row.first.value == 0.6 && row.second.value == 0.8)
        #expect(abs(try #require(row.low) - 0.0524) < 5e-5)
        #expect(row.isSignificant == true)
        #expect(comparison.rows.last?.low == nil)
        #expect(comparison.recipeDifferences.map(\.key) == ["options.learningRate"])
        #expect(comparison.warnings == ["test accuracy is over 80 cases in run-a, over 70 in run-b"])
        #expect(!comparison.isSameRun)
        #expect(comparison.text.contains("options.learningRate: '0.001' → '0.01'"))
    }

    @Test("several samples of a problem give no interval to a share of samples, but to one of problems")
    func severalSamples() throws {
        func metrics(_ share: Double) -> [MetricRecord] {
            [("accuracy", 400), ("cutOff", 400), ("withoutSignal", 100), ("pass@2", 100)].map { MetricRecord(iteration: 1, phase: "attempt", name: $0.0, value: share, count: $0.1) }
        }
        let comparison = try compare((recipe, recipe), (metrics(0.5), metrics(0.75)))
        let rows = Dictionary(uniqueKeysWithValues: comparison.rows.map { ($0.first.name, $0) })
        let accuracy = try #require(rows["accuracy"]), cutOff = try #require(rows["cutOff"])
        #expect(accuracy.difference == 0.25 && accuracy.low == nil && accuracy.isSignificant == nil && cutOff.low == nil)
        #expect(rows["withoutSignal"]?.isSignificant == true)
    }

    @Test("different tasks, budgets and test parts are said before any number", arguments: [("max-tokens: 32", "max-tokens: 64", "taskSettings.max-tokens"), ("testLimit: 100", "testLimit: 50", "options.testLimit"), ("1-3", "1-4", "taskSettings.digits")])
    func warns(old: String, new: String, key: String) throws {
        let comparison = try compare((recipe, recipe.replacingOccurrences(of: old, with: new)), ([accuracy(1, 0.5, 10)], [accuracy(1, 0.5, 10)]))
        #expect(comparison.warnings.count == 1)
        #expect(comparison.warnings.first?.contains("measured differently: \(key)") == true)
        #expect(comparison.text.hasPrefix("warning: "))
    }

    @Test("problems that were put differently, or in more turns, are said")
    func prompts() throws {
        func warnings(_ change: (inout Rollout) -> Void, turns: Int = 1) throws -> [String] {
            try withTemporaryPath { path in
                for name in ["-a", "-b"] {
                    let record = try RunRecord(writing: RunFolder(creating: path + name, recipe: recipe))
                    var rollouts = [rollout(0, iteration: 1, phase: "test"), rollout(1, iteration: 1, phase: "test")]
                    if name == "-b" {
                        change(&rollouts[1])
                        for turn in 1..<turns {
                            var next = rollouts[0]
                            next.key.turn = turn
                            rollouts.append(next)
                        }
                    }
                    try record.record(rollouts)
                    try record.record([accuracy(1, 0.5, 2)])
                    try record.close()
                }
                return try RunComparison(RunRecord(reading: path + "-a"), RunRecord(reading: path + "-b")).warnings
            }
        }
        #expect(try warnings { _ in } == [])
        #expect(try warnings { $0.promptTokens.append(3) } == ["measured under different prompts, such as that of problem 'sum-1'"])
        #expect(try warnings({ _ in }, turns: 2).count == 1)
    }

    @Test("what changes training alone is no reason to warn")
    func trainsOnly() throws {
        let comparison = try compare((recipe, recipe.replacingOccurrences(of: "train-count: 40", with: "train-count: 50")), ([accuracy(1, 0.5, 10)], [accuracy(1, 0.5, 10)]))
        #expect(comparison.warnings.isEmpty && comparison.recipeDifferences.map(\.key) == ["taskSettings.train-count"])
    }

    @Test("equal runs are called equal")
    func equal() throws {
        let comparison = try compare((recipe, recipe), ([accuracy(1, 0.5, 10)], [accuracy(1, 0.5, 10)]))
        #expect(comparison.isSameRun && comparison.warnings.isEmpty && comparison.rows.first?.difference == 0)
    }
}

@Suite("Reports of rewards")
struct RewardReportTests {
    /// Of answers of which the better is longer or shorter, and has the higher or the lower reward.
    private func report(_ comparisons: [(answers: Int, isRight: Bool, isLonger: Bool)]) -> RewardReport {
        let held = comparisons.enumerated().map { line, comparison in
            let texts = (1...comparison.answers).map { String(repeating: "a", count: $0) }
            return RankedAnswers(line: line, prompt: "p\(line)", answers: comparison.isLonger ? Array(texts.reversed()) : texts)
        }
        let rewards = comparisons.map { comparison in
            let rising = (0..<comparison.answers).map { Double($0) }
            return comparison.isRight ? Array(rising.reversed()) : rising
        }
        return RewardReport(RewardScore(held, rewards: rewards, prefersLonger: true))
    }

    @Test("pairs of one prompt are no independent cases")
    func rankings() {
        let report = report((0..<10).map { (answers: 5, isRight: $0 < 7, isLonger: $0 % 2 == 0) })
        #expect(report.score.count == 100 && report.score.right == 70 && report.score.rightByLength == 50)
        #expect(report.accuracy == ProportionInterval(successes: 7, count: 10) && report.byLength == ProportionInterval(successes: 5, count: 10))
        #expect(report.warning?.contains("no better than their lengths") == true)
        #expect(report.description.contains("held-out pairs told apart: 70 of 100 (70.0 % as the mean over 10 prompts, 95 % interval 39.7 % to 89.2 %)"), "\(report)")
        #expect(report.plot.series[0].points.allSatisfy { $0.low == nil && $0.high == nil })
    }

    @Test("where every prompt has one pair the interval is Wilson's, also with equal rewards")
    func pairs() {
        let report = report((0..<110).map { (answers: 2, isRight: $0 < 107, isLonger: $0 % 2 == 0) })
        #expect(report.description.contains("held-out pairs told apart: 107 of 110 (97.3 %, 95 % interval 92.3 % to 99.1 %)"), "\(report)")
        #expect(report.warning == nil && report.plot.series[0].points.allSatisfy { $0.low != nil })
        let held = (0..<3).map { RankedAnswers(line: $0, prompt: "p\($0)", answers: ["a", "b"]) }
        let equal = RewardReport(RewardScore(held, rewards: [[1, 0], [1, 1], [0, 1]], prefersLonger: true))
        #expect(equal.accuracy == ProportionInterval(successes: 1.5, count: 3) && equal.byLength == ProportionInterval(successes: 1.5, count: 3))
    }
}
