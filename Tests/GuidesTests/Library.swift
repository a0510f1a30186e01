import Autodidact

func continuation(of prompt: String, by path: String) throws -> String {
    let model = try Model(path: path, on: CPUBackend())
    let request = GenerationRequest(
        promptTokens: try model.encode(prompt), options: .greedy, maxTokens: 12, stopTokens: model.stopTokens, key: RandomKey(seed: 0))
    return try Generator(model).run([request])[0].text
}
