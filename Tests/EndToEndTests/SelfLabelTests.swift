import Foundation
import Testing

/// A masked model with four known labels, through the command line.
@Suite("Self-labelling", .enabled(if: Places.exists(Places.executable) && Places.exists(Places.miniLM), "no executable or no MiniLM: run scripts/setup.sh models and build the product autodidact"))
struct SelfLabelTests {
    private func write(_ lines: [(String, String?)], to path: String) throws {
        try lines.map { text, label in "{\"text\": \"\(text)\"" + (label.map { ", \"label\": \"\($0)\"" } ?? "") + "}\n" }.joined().write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test("labels are picked in the shares of the known ones, and help; a class without a text is refused")
    func learns() throws {
        try Places.withFolder { folder in
            let foods = ["soup", "bread", "cheese", "rice", "apples", "cake", "pasta", "salad", "beans", "fish"], machines = ["engine", "pump", "motor", "gearbox", "turbine", "drill", "lathe", "crane", "piston", "valve"]
            let verbs = ["tasted", "bought", "liked", "shared", "wanted"], parts = ["repaired", "tested", "mounted", "replaced", "oiled"]
            let eaten = foods.flatMap { food in verbs.map { "We \($0) the \(food) today." } }, built = machines.flatMap { machine in parts.map { "They \($0) the \(machine) today." } }
            try write([(eaten[0], "food"), (eaten[13], "food"), (built[0], "machine"), (built[13], "machine")], to: "\(folder)/known.jsonl")
            // One of them is known, and one is measured: neither is picked.
            try write((eaten[14..<40] + built[14..<40] + [eaten[0], built[45]]).map { ($0, nil) }, to: "\(folder)/rest.jsonl")
            try write(eaten[40...].map { ($0, "food") } + built[40...].map { ($0, "machine") }, to: "\(folder)/dev.jsonl")
            let arguments = ["self-label", "--model", Places.miniLM, "--input", "\(folder)/known.jsonl", "--unlabelled", "\(folder)/rest.jsonl", "--eval", "\(folder)/dev.jsonl", "--rounds", "1", "--output", "\(folder)/out"]
            let result = try Child(arguments, in: folder).wait()
            #expect(result.status == 0 && result.error.contains("2 of 54 texts of --unlabelled"), "\(result.error)")
            #expect(result.output.contains("round 1: 4 known and 26 picked labels (food 13, machine 13)"), "\(result.output)")
            #expect(result.output.split(separator: "\n").contains { $0.hasPrefix("round 1") && $0.contains("20 of 20") }, "\(result.output)")
            #expect(Places.exists("\(folder)/out/model.safetensors"))
            if Places.exists("/dev/full") {  // Linux has it
                let unread = try Child(["-c", "exec \"$@\" > /dev/full", "sh", Places.executable] + arguments.dropLast() + ["\(folder)/unread"], executable: "/bin/sh", in: folder).wait()
                #expect(unread.status == 74 && unread.error.contains("standard output cannot be written") && !Places.exists("\(folder)/unread"), "\(unread)")
            }
            try write([(eaten[0], "food")], to: "\(folder)/known.jsonl")
            let refused = try Child(arguments.dropLast() + ["\(folder)/out2", "--labels", "food,machine"], in: folder).wait()
            #expect(refused.status == 1 && refused.error.contains("no text of the class 'machine'"), "\(refused.error)")
        }
    }
}
