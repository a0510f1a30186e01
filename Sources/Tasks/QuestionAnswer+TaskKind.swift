extension TaskKind {
    /// `type: jsonl`
    static let jsonl = TaskKind(
        name: "jsonl", summary: "questions with known answers, from JSON Lines files",
        keys: [
            "data", "train", "dev", "test", "question", "answer", "rationale", "id", "category", "choices", "labels", "check", "verifiers", "program", "time-limit",
            "tolerance", "relative-tolerance", "requires-unit", "form", "system", "prompt", "target", "few-shot", "few-shot-data", "few-shot-where", "few-shot-longest", "gold-extraction", "extraction", "comparison", "strip-calculator-marks", "stops",
            "max-tokens", "splits", "seed", "train-count", "dev-count", "test-count",
        ]
    ) { file in
        var settings = QuestionAnswer.Settings()
        settings.name = file.name
        settings.data = try file.path("data")
        settings.train = try file.path("train")
        settings.dev = try file.path("dev")
        settings.test = try file.path("test")
        settings.question = try file.string("question") ?? settings.question
        settings.answer = try file.string("answer") ?? settings.answer
        settings.rationale = try file.string("rationale")
        settings.id = try file.string("id") ?? settings.id
        settings.category = try file.string("category")
        settings.choices = try file.string("choices")
        settings.labels = try file.strings("labels")
        settings.check = try file.choice("check", QuestionAnswer.Check.self) ?? settings.check
        settings.form = try file.choice("form", QuestionAnswer.Form.self) ?? settings.form
        settings.system = try file.string("system")
        settings.prompt = try file.string("prompt")
        settings.target = try file.string("target")
        settings.fewShot = try file.count("few-shot")
        settings.fewShotData = try file.path("few-shot-data")
        settings.fewShotWhere = try file.texts("few-shot-where") ?? [:]
        settings.fewShotLongest = try file.count("few-shot-longest")
        if settings.fewShotData == nil { try file.refuse("few-shot-where", "It chooses among the examples of 'few-shot-data'. Give that file, or leave it out.") }
        settings.goldExtraction = try file.extraction("gold-extraction")
        settings.comparison = try file.choice("comparison", AnswerVerifier.Comparison.self) ?? settings.comparison
        settings.extraction = try file.extraction("extraction") ?? AnswerExtraction.usual(for: settings.comparison)
        settings.stripCalculatorMarks = try file.bool("strip-calculator-marks") ?? settings.stripCalculatorMarks
        settings.stops = try file.strings("stops")
        settings.maxTokens = try file.count("max-tokens") ?? settings.maxTokens
        settings.splitting = try file.splitting("splits") ?? settings.splitting
        settings.seed = try file.seed("seed") ?? settings.seed
        settings.trainCount = try file.count("train-count")
        settings.devCount = try file.count("dev-count")
        settings.testCount = try file.count("test-count")
        settings.verifier = try file.verifier(for: settings)
        settings.keepsFields = file["verifiers"] != nil
        return try QuestionAnswer(settings)
    }
}
