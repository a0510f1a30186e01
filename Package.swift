// swift-tools-version: 6.2
import PackageDescription

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
        .target(name: "Sampling", dependencies: ["Architectures"]),
        .target(name: "Tasks", dependencies: ["ModelFiles", "Sampling", .product(name: "Yams", package: "Yams")]),
        .target(name: "Training", dependencies: ["Architectures", "Tasks"]),
        .target(name: "Evaluation", dependencies: ["Training"]),
        .target(name: "Recipes", dependencies: ["Evaluation", "Training", .product(name: "Yams", package: "Yams")]),
        .target(name: "Runs", dependencies: ["Recipes", .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Yams", package: "Yams")]),
        .target(name: "ModelHub", dependencies: ["ModelFiles", .product(name: "Crypto", package: "swift-crypto")]),
        .target(name: "Autodidact", dependencies: ["Runs", "ModelHub"]),
        .executableTarget(name: "AutodidactCLI", dependencies: ["Autodidact", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
        .target(name: "Machine", path: "Benchmarks/Machine"),
        .executableTarget(name: "engine-bench", dependencies: ["Autodidact", "Machine"], path: "Benchmarks/Engine"),
        .testTarget(name: "ModelFilesTests", dependencies: ["ModelFiles"]),
        .testTarget(name: "ModelHubTests", dependencies: ["ModelHub", "ModelFiles", .product(name: "Crypto", package: "swift-crypto")]),
        .testTarget(name: "TasksTests", dependencies: ["Tasks", "Sampling", "ModelFiles"]),
        .testTarget(name: "EvaluationTests", dependencies: ["Evaluation", "Recipes"]),
        .testTarget(name: "EndToEndTests", dependencies: ["Autodidact", "AutodidactCLI"]),
        .testTarget(name: "GuidesTests", dependencies: ["Autodidact", "Tasks"]),
        .testTarget(name: "RunsTests", dependencies: ["Runs"]),
        .testTarget(name: "SamplingTests", dependencies: ["Sampling", "Training"]),
        .testTarget(name: "TrainingTests", dependencies: ["Training", "Tasks"]),
        .testTarget(name: "RecipesTests", dependencies: ["Recipes", "Tasks", "Training"]),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
        .testTarget(name: "TokenizationTests", dependencies: ["Tokenization", "ModelFiles"]),
    ],
    swiftLanguageModes: [.v6]
)
