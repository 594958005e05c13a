using System.Text;
using System.Xml;

namespace Trainer.Data;

/// <summary>
/// The prose of .NET XML documentation. A member becomes one paragraph: summary, parameters, return value, exceptions and remarks, each
/// as sentences, in the order in which they are written. References become short names (<c>T:System.String</c> is String) and code
/// samples, which are not prose, are left out.
/// </summary>
internal static class XmlDocumentationText
{
    /// <summary>A member's name as the compiler writes it (<c>M:System.String.Trim</c>), and its sentences by element.</summary>
    public sealed record Member(string Name, IReadOnlyList<string> Sentences);

    private static readonly HashSet<string> ProseElements =
        ["summary", "typeparam", "param", "returns", "value", "exception", "remarks"];

    /// <summary>Reads the members of a documentation file in order.</summary>
    /// <exception cref="XmlException">The XML is malformed.</exception>
    public static IEnumerable<Member> Read(Stream xml)
    {
        using var reader = XmlReader.Create(xml, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
        while (reader.ReadToFollowing("member"))
        {
            string name = reader.GetAttribute("name") ?? "";
            using XmlReader member = reader.ReadSubtree();
            member.Read();
            yield return new Member(name, ReadSentences(member));
        }
    }

    /// <summary>A short name for a reference: no namespace, no parameters, no arity; a member keeps its type.</summary>
    public static string ShortName(string reference)
    {
        char kind = reference.Length > 1 && reference[1] == ':' ? reference[0] : ' ';
        string name = kind == ' ' ? reference : reference[2..];
        int parameters = name.IndexOf('(', StringComparison.Ordinal);
        if (parameters >= 0)
            name = name[..parameters];
        if (kind == 'N')
            return name;

        string[] parts = [.. name.Split('.').Select(WithoutArity)];
        if (kind is ' ' or 'T' or '!' || parts.Length < 2)
            return parts[^1];

        // An explicit implementation is named after its interface, with # for the dots: Type.System#IDisposable#Dispose.
        string member = parts[^1].Length > 0 && parts[^1][0] != '#' ? parts[^1][(parts[^1].LastIndexOf('#') + 1)..] : parts[^1];
        return member is "#ctor" or "#cctor" ? parts[^2] : $"{parts[^2]}.{member}";
    }

    private static string WithoutArity(string part)
    {
        int arity = part.IndexOfAny(['`', '{']);
        return arity >= 0 ? part[..arity] : part;
    }

    private static List<string> ReadSentences(XmlReader member)
    {
        var sentences = new List<string>();
        var text = new StringBuilder();
        member.Read();
        while (!member.EOF)
        {
            if (member.NodeType != XmlNodeType.Element || member.Depth != 1)
            {
                member.Read();
                continue;
            }

            if (!ProseElements.Contains(member.Name))
            {
                member.Skip();
                continue;
            }

            text.Clear();
            if (member.Name == "exception" && member.GetAttribute("cref") is string thrown)
                text.Append(ShortName(thrown)).Append(": ");
            int prefix = text.Length;
            AppendContent(member, text);
            string sentence = Normalise(text.ToString());
            if (text.Length > prefix && sentence.Length > prefix)
                sentences.Add(sentence);
        }

        return sentences;
    }

    // Appends the text of the current element and moves past it.
    private static void AppendContent(XmlReader reader, StringBuilder text)
    {
        if (reader.IsEmptyElement)
        {
            reader.Read();
            return;
        }

        int depth = reader.Depth;
        reader.Read();
        while (reader.Depth > depth)
        {
            switch (reader.NodeType)
            {
                case XmlNodeType.Element:
                    AppendElement(reader, text);
                    break;
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    text.Append(reader.Value);
                    reader.Read();
                    break;
                default:
                    reader.Read();
                    break;
            }
        }

        reader.Read();
    }

    private static void AppendElement(XmlReader reader, StringBuilder text)
    {
        int start = text.Length;
        string? reference = reader.GetAttribute("cref") ?? reader.GetAttribute("uid");
        string? word = reader.GetAttribute("langword") ?? reader.GetAttribute("name");
        switch (reader.Name)
        {
            case "see" or "seealso" or "xref" or "paramref" or "typeparamref":
                AppendContent(reader, text);
                if (string.IsNullOrWhiteSpace(text.ToString(start, text.Length - start)))
                    text.Append(reference is null ? word : ShortName(reference));
                break;
            case "code":
                // On one line it is a name within a sentence, on several it is a sample.
                AppendContent(reader, text);
                if (text.ToString(start, text.Length - start).Trim().Contains('\n', StringComparison.Ordinal))
                    text.Length = start;
                break;
            case "c" or "em" or "strong" or "i" or "b" or "a" or "sub" or "sup":
                AppendContent(reader, text);
                break;
            case "term":
                AppendContent(reader, text);
                text.Append(": ");
                break;
            case "listheader":
                reader.Skip();
                break;
            default:
                // Paragraphs, items and the like stand apart from their neighbours.
                text.Append(' ');
                AppendContent(reader, text);
                text.Append(' ');
                break;
        }
    }

    // One space between words, and a full stop if the writer left it out.
    private static string Normalise(string text)
    {
        string joined = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return joined.Length > 0 && (char.IsLetterOrDigit(joined[^1]) || joined[^1] is ')' or '"') ? joined + "." : joined;
    }
}
