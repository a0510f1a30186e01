import Foundation
import ModelFiles

/// The problems of HumanEval and MBPP, as `CodeVerifier` judges them. `details["reference"]` completes the question rightly.
public enum CodeProblems {
    /// HumanEval's problems: complete a function from its head and its documentation. Source: Chen et al. 2021, arXiv:2107.03374.
    /// - Throws: `TaskError` that names the file and the line.
    public static func humaneval(_ url: URL) throws -> [Problem] {
        try TaskRecord.read(url).map { record in
            let (prompt, entryPoint) = (try record.requiredText("prompt"), try record.requiredText("entry_point"))
            return Problem(
                id: try record.requiredText("id"), question: prompt, category: "humaneval",
                details: [
                    "prefix": prompt, "entry_point": entryPoint, "tests": try record.requiredText("test") + "\ncheck(\(entryPoint))\n",
                    "reference": try record.requiredText("canonical_solution"),
                ])
        }
    }

    /// MBPP's problems: write a function from a sentence and three assertions. Source: Austin et al. 2021, arXiv:2108.07732.
    /// - Returns: the problems of each split, by the field `split` ("validation" is dev), and the ten meant for prompts.
    /// - Throws: `TaskError` that names the file and the line.
    public static func mbpp(_ url: URL) throws -> (splits: [Split: [Problem]], fewShot: [Problem]) {
        var (splits, fewShot): ([Split: [Problem]], [Problem]) = ([:], [])
        for record in try TaskRecord.read(url) {
            guard let tests = record.fields["test_list"]?.array?.compactMap(\.string), !tests.isEmpty else {
                throw TaskError.badRecord(file: record.file, line: record.line, reason: "'test_list' is no list of texts. Give the assertions, each as a text.")
            }
            let setup = try record.text("test_setup_code") ?? ""
            let problem = Problem(
                id: try record.requiredText("id"), question: try record.requiredText("text"), category: "mbpp",
                details: [
                    "entry_point": try record.requiredText("entry_point"), "tests": ([setup] + tests).joined(separator: "\n"),
                    "assertions": tests.joined(separator: "\n"), "reference": try record.requiredText("code").replacing("\r\n", with: "\n"),
                ])
            switch try record.requiredText("split") {
            case "train": splits[.train, default: []].append(problem)
            case "validation": splits[.dev, default: []].append(problem)
            case "test": splits[.test, default: []].append(problem)
            case "prompt": fewShot.append(problem)
            case let other:
                throw TaskError.badRecord(file: record.file, line: record.line, reason: "'split' is '\(other)'. Known: train, validation, test, prompt.")
            }
        }
        return (splits, fewShot)
    }
}
