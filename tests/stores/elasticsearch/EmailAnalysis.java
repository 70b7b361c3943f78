import java.util.Map;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Lets the small distribution keep users and API keys. Their index asks for an analysis of the e-mail
 * addresses in user profiles, which is not in it; without profiles it is enough that the names exist.
 */
public class EmailAnalysis extends Plugin implements AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        AnalysisProvider<TokenFilterFactory> unchanged =
            (index, node, name, settings) -> TokenFilterFactory.IDENTITY_FILTER;
        return Map.of("pattern_capture", unchanged, "unique", unchanged);
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of(
            "uax_url_email",
            (index, node, name, settings) -> TokenizerFactory.newFactory(name, StandardTokenizer::new)
        );
    }
}
