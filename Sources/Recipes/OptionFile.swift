import ModelFiles
import Yams

/// Settings of a command in a YAML file. Its keys are the names of the command's options; under `stages` stands a list of such mappings, each of which adds to the
/// others and replaces them.
public struct OptionFile: Sendable {
    public enum Kind: Sendable { case flag, value, list }
    private struct Setting {
        let key: String
        let values: [String]
    }
    private let kinds: [String: Kind]
    private let settings: [Setting]
    private let stages: [(name: String, settings: [Setting])]

    /// - Parameters:
    ///   - text: YAML.
    ///   - file: its name, for errors.
    ///   - options: the command's, without dashes.
    ///   - ofStage: those that a stage may set; where there are none, there are no stages.
    /// - Throws: `RecipeFileError` for a key that is no option, with the nearest one, and for values of the wrong kind.
    public init(_ text: String, file: String, options: [String: Kind], ofStage: Set<String>) throws {
        func refuse(_ node: Node, _ problem: String) -> RecipeFileError { RecipeFileError(file: file, problem: "line \(node.mark?.line ?? 1): \(problem)") }
        func read(_ mapping: Node.Mapping, known: Set<String>, apart: String, place: String) throws -> [Setting] {
            try mapping.compactMap { key, value in
                let name = key.string ?? ""
                if name == apart, !ofStage.isEmpty { return nil }
                guard known.contains(name), let kind = options[name] else {
                    if options[name] != nil { throw refuse(key, "'\(name)' cannot change between stages; set it above them") }
                    let nearest = nearestName(to: name, in: ofStage.isEmpty ? known : known.union([apart])).map { "; did you mean '\($0)'?" } ?? "; known: \(known.sorted().joined(separator: ", "))"
                    throw refuse(key, "unknown setting '\(place)\(name)'\(nearest)")
                }
                let values = if case .sequence(let items) = value { items.map(\.scalar?.string) } else { [value.scalar?.string] }
                guard !values.isEmpty, !values.contains(nil) else { throw refuse(key, "'\(name)' must be a value, or a list of values") }
                let texts = values.compactMap { $0 }
                switch kind {
                case .flag:
                    guard texts == ["true"] || texts == ["false"] else { throw refuse(key, "'\(name)' must be true or false") }
                    return Setting(key: name, values: texts)
                case .value: return Setting(key: name, values: [texts.joined(separator: ",")])
                case .list: return Setting(key: name, values: texts)
                }
            }
        }
        let root: Node
        do {
            guard let node = try Yams.compose(yaml: text), node.mapping != nil else { throw RecipeFileError(file: file, problem: "holds no settings. Write an option of the command and its value on each line.") }
            root = node
        } catch let error as YamlError {
            throw RecipeFileError(file: file, problem: "is not YAML: \(error)")
        }
        kinds = options
        settings = try read(root.mapping ?? [:], known: Set(options.keys), apart: "stages", place: "")
        guard !ofStage.isEmpty, let list = root["stages"] else {
            stages = []
            return
        }
        guard let items = list.sequence, !items.isEmpty else { throw refuse(list, "'stages' must be a list of mappings") }
        stages = try items.enumerated().map { number, item in
            guard let mapping = item.mapping else { throw refuse(item, "stage \(number + 1) must be a mapping") }
            return (item["name"]?.scalar?.string ?? "\(number + 1)", try read(mapping, known: ofStage, apart: "name", place: "stages."))
        }
    }

    /// The names of the stages; one where the file has none.
    public var names: [String] { stages.isEmpty ? ["1"] : stages.map(\.name) }

    /// One stage's command line: the file's settings but for those that are given, and then these.
    /// - Parameters:
    ///   - stage: counted from 0.
    ///   - given: the arguments of the command line, which override the file.
    public func arguments(stage: Int, given: [String]) -> [String] {
        let own = stages.isEmpty ? [] : stages[stage].settings
        func names(_ settings: [Setting]) -> Set<String> { Set(settings.map(\.key)) }
        let overridden = Set(given.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) })
        let chosen = (settings.filter { !names(own).contains($0.key) } + own).filter { !overridden.contains($0.key) }
        return chosen.flatMap { setting in
            kinds[setting.key] == .flag ? (setting.values == ["true"] ? ["--\(setting.key)"] : []) : setting.values.map { "--\(setting.key)=\($0)" }
        } + given
    }
}
