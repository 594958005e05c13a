using System.Text;
using System.Xml;

namespace Trainer.Data;

/// <summary>
/// The default corpus: the prose of .NET's API documentation. A type with its members is a document, a member is a paragraph. A
/// sentence that came before, as those of overloads do, is left out, so that what is measured on held-out text is not memory.
/// </summary>
/// <param name="files">The documentation files, in order.</param>
internal sealed class ApiDocumentationSource(IReadOnlyList<string> files)
    : TextSource("the API documentation of .NET", files.Sum(file => new FileInfo(file).Length))
{
    // Instruction listings ("__m128d _mm_add_pd (__m128d a, __m128d b)"), thousands of them, which are not English.
    private static readonly string[] InstructionNamespaces =
        ["System.Runtime.Intrinsics.X86.", "System.Runtime.Intrinsics.Arm.", "System.Runtime.Intrinsics.Wasm."];

    /// <inheritdoc/>
    public override IEnumerable<TextPart> Read()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var document = new StringBuilder();
        string type = "";
        long read = 0;
        foreach (string file in files)
        {
            using FileStream stream = Open(file);
            foreach (XmlDocumentationText.Member member in Members(stream, file))
            {
                string owner = OwnerType(member.Name);
                if (owner != type && document.Length > 0)
                {
                    yield return Take(document, read);
                    read = 0;
                }

                type = owner;
                if (Array.Exists(InstructionNamespaces, prefix => owner.StartsWith(prefix, StringComparison.Ordinal)))
                    continue;
                string paragraph = string.Join(' ', member.Sentences.Where(seen.Add));
                if (paragraph.Length > 0)
                    document.Append(document.Length > 0 ? "\n\n" : "").Append(paragraph);
            }

            read += stream.Length;
        }

        if (document.Length > 0)
            yield return Take(document, read);
    }

    private static TextPart Take(StringBuilder document, long read)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(document.Append('\n').ToString());
        document.Clear();
        return new TextPart(utf8, StartsDocument: true, read);
    }

    // T:N.Type is its own owner; M:N.Type.Member(...), P:, F: and E: belong to N.Type.
    private static string OwnerType(string member)
    {
        int parameters = member.IndexOf('(', StringComparison.Ordinal);
        string name = parameters < 0 ? member : member[..parameters];
        if (name.Length < 2)
            return name;
        int dot = name.LastIndexOf('.');
        return name[0] == 'T' || dot < 2 ? name[2..] : name[2..dot];
    }

    private static IEnumerable<XmlDocumentationText.Member> Members(FileStream stream, string file)
    {
        using IEnumerator<XmlDocumentationText.Member> members = XmlDocumentationText.Read(stream).GetEnumerator();
        while (true)
        {
            try
            {
                if (!members.MoveNext())
                    yield break;
            }
            catch (XmlException error)
            {
                throw new RequestException($"{file}: malformed documentation: {error.Message}", error);
            }

            yield return members.Current;
        }
    }
}
