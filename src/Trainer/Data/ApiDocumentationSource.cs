using System.Text;
using System.Xml;

namespace Trainer.Data;

/// <summary>
/// The default corpus: the prose of .NET's API documentation. A type with its members is a document, a member is a line. A
/// sentence that came before, as those of overloads do, is left out, so that what is measured on held-out text is not memory.
/// </summary>
internal sealed class ApiDocumentationSource : TextSource
{
    // Instruction listings ("__m128d _mm_add_pd (__m128d a, __m128d b)"), thousands of them, which are not English.
    private static readonly string[] InstructionNamespaces =
        ["System.Runtime.Intrinsics.X86.", "System.Runtime.Intrinsics.Arm.", "System.Runtime.Intrinsics.Wasm."];

    // Extracting takes longer than encoding and the text is small (7 MB of 32 MB), so it is extracted once and kept.
    private readonly IReadOnlyList<byte[]> _documents;

    private ApiDocumentationSource(IReadOnlyList<byte[]> documents)
        : base("the API documentation of .NET", documents.Sum(document => (long)document.Length)) => _documents = documents;

    /// <summary>Extracts the text of documentation files.</summary>
    /// <exception cref="RequestException">A file is unreadable or malformed.</exception>
    public static ApiDocumentationSource Load(IEnumerable<string> files)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var documents = new List<byte[]>();
        var document = new StringBuilder();
        string type = "";
        foreach (string file in files)
        {
            using FileStream stream = Open(file);
            try
            {
                foreach (XmlDocumentationText.Member member in XmlDocumentationText.Read(stream))
                {
                    string owner = OwnerType(member.Name);
                    if (owner != type)
                        EndDocument();
                    type = owner;
                    if (!Array.Exists(InstructionNamespaces, prefix => owner.StartsWith(prefix, StringComparison.Ordinal)))
                        AddParagraph(string.Join(' ', member.Sentences.Where(seen.Add)));
                }
            }
            catch (XmlException error)
            {
                throw new RequestException($"{file}: malformed documentation: {error.Message}", error);
            }
        }

        EndDocument();
        return new ApiDocumentationSource(documents);

        void AddParagraph(string paragraph)
        {
            if (paragraph.Length > 0)
                document.Append(document.Length > 0 ? "\n" : "").Append(paragraph);
        }

        void EndDocument()
        {
            if (document.Length > 0)
                documents.Add(Encoding.UTF8.GetBytes(document.Append('\n').ToString()));
            document.Clear();
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<TextPart> Read() => _documents.Select(document => new TextPart(document, StartsDocument: true, document.Length));

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
}
