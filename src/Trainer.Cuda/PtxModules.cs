using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;

namespace Trainer.Cuda;

/// <summary>An entry point of a module.</summary>
/// <param name="Name">Its name.</param>
/// <param name="ParameterBytes">The size of each of its parameters.</param>
public sealed record PtxKernel(string Name, IReadOnlyList<int> ParameterBytes);

/// <summary>One file of kernels, compiled to PTX.</summary>
/// <param name="name">See <see cref="Name"/>.</param>
/// <param name="target">See <see cref="Target"/>.</param>
/// <param name="text">See <see cref="Text"/>.</param>
public sealed partial class PtxModule(string name, string target, string text)
{
    /// <summary>The name of the file in <c>cuda/</c> without <c>.cu</c>: layernorm.</summary>
    public string Name => name;

    /// <summary>What it was compiled for: <c>sm_80</c> runs there and on everything later, <c>sm_90a</c> on compute capability 9.0 and nowhere else.</summary>
    public string Target => target;

    /// <summary>The PTX, which the driver compiles for its device.</summary>
    public string Text => text;

    /// <summary>The entry points that the text defines.</summary>
    public IEnumerable<PtxKernel> Kernels => Entry().Matches(Text).Select(match => new PtxKernel(match.Groups[1].Value,
        [.. Parameter().Matches(match.Groups[2].Value).Select(ParameterBytes)]));

    /// <summary>A module from its text.</summary>
    /// <exception cref="InvalidDataException">The text names no target.</exception>
    public static PtxModule Parse(string name, string text) => TargetDirective().Match(text) is { Success: true } match
        ? new(name, match.Groups[1].Value, text)
        : throw new InvalidDataException($"{name}.ptx names no target");

    [GeneratedRegex(@"^\.target\s+(\w+)", RegexOptions.Multiline)]
    private static partial Regex TargetDirective();

    // .param .u64 .ptr .global .align 16 name   or   .param .align 64 .b8 name[128]: the number in the type, in bits, times the elements.
    private static int ParameterBytes(Match match) =>
        int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) / 8
        * (match.Groups[2].Success ? int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture) : 1);

    [GeneratedRegex(@"^(?:\.visible\s+)?\.entry\s+(\w+)\s*\(([^)]*)\)", RegexOptions.Multiline)]
    private static partial Regex Entry();

    [GeneratedRegex(@"\.param\b[^,\n]*?\.[bfsu](8|16|32|64)\b[^,\n\[]*(?:\[(\d+)\])?")]
    private static partial Regex Parameter();
}

/// <summary>The PTX that was embedded when this assembly was built: the resource <c>ptx/x.ptx</c> for <c>cuda/x.cu</c>.</summary>
public static class PtxModules
{
    private const string Prefix = "ptx/", Suffix = ".ptx";

    /// <summary>The modules of this assembly by name. None: it was built without nvcc, and there is no CUDA backend.</summary>
    public static IReadOnlyList<PtxModule> All() => Of(typeof(PtxModules).Assembly);

    /// <summary>The modules of an assembly by name.</summary>
    /// <exception cref="InvalidDataException">A resource is no PTX.</exception>
    public static IReadOnlyList<PtxModule> Of(Assembly assembly)
    {
        var modules = new List<PtxModule>();
        foreach (string resource in assembly.GetManifestResourceNames().Order(StringComparer.Ordinal))
        {
            if (!resource.StartsWith(Prefix, StringComparison.Ordinal) || !resource.EndsWith(Suffix, StringComparison.Ordinal))
                continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            modules.Add(PtxModule.Parse(resource[Prefix.Length..^Suffix.Length], reader.ReadToEnd()));
        }

        return modules;
    }
}
