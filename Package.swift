// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Autodidact",
    platforms: [.macOS(.v15)],
    targets: [
        .target(name: "CAutodidact"),
        .target(name: "Tensors", dependencies: ["CAutodidact"]),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CAutodidact"]),
    ],
    swiftLanguageModes: [.v6]
)
