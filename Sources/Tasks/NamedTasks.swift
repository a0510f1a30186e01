import Foundation

/// A published data set as a task: which files it needs, and how it is asked. What it says is the settings of a task file of the kind `jsonl`.
public struct NamedTask: Sendable {
    public let name: String
    /// One line for lists, with the source.
    public let summary: String
    /// What has to be in the data folder.
    public let files: [DataFile]
    let settings: [String: String]
    /// More of them, in text form only and in chat form only.
    let text, chat: [String: String]

    init(_ name: String, _ summary: String, files: [DataFile], _ settings: [String: String], text: [String: String] = [:], chat: [String: String] = [:]) {
        (self.name, self.summary, self.files, self.settings, self.text, self.chat) = (name, summary, files, settings, text, chat)
    }

    /// What its task files may say; the rest belongs to the data set.
    static let keys = ["data-dir", "few-shot", "form", "system", "max-tokens", "seed", "train-count", "dev-count", "test-count"]

    /// - Throws: `TaskError.missingData` for the first file that is not in the data folder, and what `jsonl` throws.
    func environment(_ file: TaskFile) throws -> any Environment {
        // All of them, also without examples: questions that are examples are no problems.
        let folder = try file.dataFolder(with: files, for: name)
        let form = try file.choice("form", QuestionAnswer.Form.self) ?? .text
        let all = settings.merging(form == .chat ? chat : text) { $1 }
        return try TaskKind.jsonl.make(file.completed(by: TaskFile(type: "jsonl", settings: all, folder: folder)))
    }
}

extension TaskKind {
    init(_ task: NamedTask) {
        self.init(name: task.name, summary: task.summary, keys: NamedTask.keys, make: task.environment)
    }
}

// MARK: - The tasks

extension NamedTask {
    /// The form of chain-of-thought prompts. Source: Wei et al. 2022, arXiv:2201.11903.
    private static let askedInLetters = ["prompt": "Q: {question}\nA:"]
    private static let optionsInLetters = ["prompt": "Q: {question}\nAnswer Choices:\n{choices}\nA:"]

    /// Word problems in one file, with the eight worked examples of Wei et al.
    private static func wordProblems(_ name: String, _ summary: String, _ file: DataFile, category: [String: String] = [:]) -> NamedTask {
        let settings = [
            "data": file.name, "few-shot-data": DataFile.gsm8kExamples.name, "extraction": #"['/[Tt]he answer is \$?(-?[0-9][0-9.,]*)/', flexible]"#, "max-tokens": "128",
        ]
        return NamedTask(name, summary, files: [file, .gsm8kExamples], settings.merging(category) { $1 }, text: askedInLetters)
    }

    public static let builtIn = [
        NamedTask(
            "gsm8k", "grade-school mathematics (Cobbe et al. 2021, arXiv:2110.14168)", files: [.gsm8kTrain, .gsm8kTest],
            ["train": "gsm8k_train.jsonl", "test": "gsm8k_test.jsonl", "rationale": "answer", "few-shot": "5"]),
        NamedTask(
            "math", "competition mathematics (Hendrycks et al. 2021, arXiv:2103.03874)", files: [.mathPool, .math500],
            [
                "train": "math_pool.jsonl", "test": "math500.jsonl", "question": "problem", "rationale": "solution", "category": "subject", "check": "math", "few-shot": "4",
                "few-shot-longest": "300", "strip-calculator-marks": "false", "max-tokens": "512",
            ],
            text: ["prompt": "Problem:\n{question}\n\nSolution:"], chat: ["prompt": "{question}\n\nReason step by step, and put the final answer in \\boxed{}."]),
        wordProblems("svamp", "word problems that vary one another (Patel et al. 2021, arXiv:2103.07191)", .svamp, category: ["category": "type"]),
        wordProblems("addsub", "sums and differences in words (Hosseini et al. 2014)", .addsub),
        wordProblems("multiarith", "word problems of several steps (Roy and Roth 2015, arXiv:1608.01413)", .multiarith),
        wordProblems("singleeq", "word problems of one equation (Koncel-Kedziorski et al. 2015)", .singleeq),
        NamedTask(
            "aqua", "algebra with five options (Ling et al. 2017, arXiv:1705.04146)", files: [.aquaDev, .aquaTest],
            [
                "train": "aqua_dev.jsonl", "test": "aqua_test.jsonl", "choices": "choices", "rationale": "rationale", "few-shot": "4",
                "target": " {rationale}\nTherefore, the answer is ({answer}).",
            ], text: optionsInLetters),
        NamedTask(
            "csqa", "common sense with five options (Talmor et al. 2019, arXiv:1811.00937), examples of STaR", files: [.csqaTrain, .csqaDev, .starExamples],
            [
                "train": "csqa_train.jsonl", "test": "csqa_dev.jsonl", "choices": "choices", "few-shot-data": "star_fewshot.jsonl",
                "few-shot-where": "{task: commonsenseqa, style: rationale}", "max-tokens": "96",
            ], text: optionsInLetters),
        NamedTask(
            "strategyqa", "yes or no after several steps (Geva et al. 2021, arXiv:2101.02235)", files: [.strategyqa],
            [
                "data": "strategyqa.jsonl", "labels": "[yes, no]", "rationale": "rationale", "few-shot": "6",
                "target": " {rationale} So the answer is {answer}.", "max-tokens": "128",
            ], text: askedInLetters),
        NamedTask(
            "last-letters", "the last letters of names (Wei et al. 2022, arXiv:2201.11903)", files: [.lastLetters],
            [
                "data": "last_letters.jsonl", "comparison": "text", "extraction": #"['/(?si)\A.*answer is:?[\s"''(]*([\p{L}\p{M}]+)/', last-line]"#, "few-shot": "4",
                "target": " The answer is {answer}.", "splits": "{by: exact}", "max-tokens": "128",
            ], text: askedInLetters),
        NamedTask(
            "coin-flip", "whether a coin is still heads up (Wei et al. 2022, arXiv:2201.11903)", files: [.coinFlip],
            [
                "data": "coin_flip.jsonl", "labels": "[yes, no]", "few-shot": "4", "target": " So the answer is {answer}.", "splits": "{by: exact}",
                "max-tokens": "128",
            ], text: askedInLetters),
        NamedTask(
            "sst2", "whether a review is positive (Socher et al. 2013; GLUE, arXiv:1804.07461)", files: [.sst2Train, .sst2Dev, .sst2Test],
            [
                "train": "sst2_train.jsonl", "dev": "sst2_dev.jsonl", "test": "sst2_test.jsonl", "question": "sentence", "answer": "label",
                "labels": "[negative, positive]", "max-tokens": "8",
            ],
            text: ["prompt": "{question}\nQuestion: Is this sentence positive or negative?\nAnswer:", "stops": #"["\n"]"#],
            chat: ["prompt": "Is this sentence positive or negative?\n\n{question}"]),
    ]
}
