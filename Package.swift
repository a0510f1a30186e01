// swift-tools-version: 6.2
import PackageDescription

// Each module names all that it uses, also what comes with others: one that changes only inside leaves those between as they are, and what
// stands above would not be built anew.
let models: [Target.Dependency] = ["Architectures", "ModelFiles", "Tensors", "Tokenization"]
let learning = models + ["Sampling", "Tasks", "Training"]
let running = learning + ["Evaluation", "Recipes"]
let everything = running + ["Autodidact", "ModelHub", "Runs"]

let package = Package(
    name: "Autodidact",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Autodidact", targets: ["Autodidact"]),
        .executable(name: "autodidact", targets: ["AutodidactCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CAutodidact"),
        .target(name: "Tensors", dependencies: ["CAutodidact"]),
        .target(name: "ModelFiles", dependencies: []),
        .target(name: "Tokenization", dependencies: ["ModelFiles"]),
        .target(name: "Architectures", dependencies: ["Tensors", "ModelFiles", "Tokenization", .product(name: "Crypto", package: "swift-crypto")]),
        .target(name: "Sampling", dependencies: models),
        .target(name: "Tasks", dependencies: models + ["Sampling", .product(name: "Yams", package: "Yams")]),
        .target(name: "Training", dependencies: models + ["Sampling", "Tasks"]),
        .target(name: "Evaluation", dependencies: learning),
        .target(name: "Recipes", dependencies: learning + ["Evaluation", .product(name: "Yams", package: "Yams")]),
        .target(name: "Runs", dependencies: running + [.product(name: "GRDB", package: "GRDB.swift"), .product(name: "Yams", package: "Yams")]),
        .target(name: "ModelHub", dependencies: ["ModelFiles", .product(name: "Crypto", package: "swift-crypto")]),
        .target(name: "Autodidact", dependencies: running + ["ModelHub", "Runs"]),
        .executableTarget(name: "AutodidactCLI", dependencies: everything + [.product(name: "ArgumentParser", package: "swift-argument-parser")]),
        .target(name: "Machine", path: "Benchmarks/Machine"),
        .executableTarget(name: "engine-bench", dependencies: everything + ["Machine"], path: "Benchmarks/Engine"),
        .testTarget(name: "ModelFilesTests", dependencies: ["ModelFiles"]),
        .testTarget(name: "ModelHubTests", dependencies: ["ModelHub", "ModelFiles", .product(name: "Crypto", package: "swift-crypto")]),
        .testTarget(name: "TasksTests", dependencies: models + ["Sampling", "Tasks"]),
        .testTarget(name: "EvaluationTests", dependencies: running),
        .testTarget(name: "EndToEndTests", dependencies: everything + ["AutodidactCLI"]),
        .testTarget(name: "GuidesTests", dependencies: everything),
        .testTarget(name: "RunsTests", dependencies: running + ["Runs"]),
        .testTarget(name: "SamplingTests", dependencies: learning),
        .testTarget(name: "TrainingTests", dependencies: learning),
        .testTarget(name: "RecipesTests", dependencies: running),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
        .testTarget(name: "TokenizationTests", dependencies: ["Tokenization", "ModelFiles"]),
    ],
    swiftLanguageModes: [.v6]
)
